"""The lexicon of the embedded generator: what it may say, and what follows from what.

Everything the labels rest on is here and can be checked by reading:

* `GENRES[genre]["things"]`: general word -> middle word -> specific words. A specific word names a kind
  of the middle one, the middle one a kind of the general one (a spaniel is a dog is an animal). Two
  middle words of a genre have no member in common (no dog is a cow). All plurals end in -s.
* `STATES`: (strict, plain, opposite). The strict state implies the plain one (soaking wet, wet); plain
  and opposite exclude each other (wet, dry). States of two rows are independent (wet, heavy).
* `GENRES[genre]["places"]`: (inner, outer). Who is in the inner place is in the outer one; two outer
  places of a genre do not overlap.
* `GENRES[genre]["events"]`: things that happen once, so that they have one day and one order.
* `RELATIONS`: pairs of inverse orders, each transitive and excluding the other.
"""

from __future__ import annotations

NAMES = ["Anna", "Ben", "Carla", "David", "Elena", "Felix", "Grace", "Henry", "Irene", "Jack", "Karen", "Leo", "Maria", "Noah", "Olga", "Peter", "Quinn", "Rosa", "Samuel", "Tina", "Umar", "Vera", "Walter", "Xenia", "Yusuf", "Zoe", "Alice", "Bruno", "Clara", "Diego", "Emma", "Frank"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
PARTS = ["morning", "afternoon", "evening"]
NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]  # 2 to 12
VERBS = (("see", "saw"), ("find", "found"), ("photograph", "photographed"), ("film", "filmed"),
         ("touch", "touched"), ("move", "moved"), ("choose", "chose"), ("weigh", "weighed"))
RELATIONS = (("to the left of", "to the right of"), ("above", "below"), ("in front of", "behind"))
ORDERS = (("before", "after"), ("earlier than", "later than"))
STATES = {
    "wet": ("soaking wet", "wet", "dry"),
    "clean": ("spotlessly clean", "clean", "dirty"),
    "heavy": ("very heavy", "heavy", "light"),
    "large": ("huge", "large", "small"),
    "cheap": ("very cheap", "cheap", "expensive"),
    "old": ("very old", "old", "new"),
    "broken": ("badly broken", "broken", "intact"),
    "red": ("dark red", "red", "blue"),
    "warm": ("very warm", "warm", "cold"),
    "calm": ("very calm", "calm", "nervous"),
}
# Sentences that say nothing about any slot: they make premises longer without deciding anything.
FILLERS = ("The weather was fine.", "Somebody laughed.", "A clock struck nine.", "The street outside was busy.",
           "It had rained all night.", "The light was poor.", "There was a smell of coffee.", "Time went by slowly.")


def _words(text: str) -> tuple[str, ...]:
    return tuple(w.strip() for w in text.split(","))


def _genre(things: dict, states: str, places: str, events: str) -> dict:
    pairs = [_words(p.replace(" < ", ",")) for p in places.split(";")]
    return {"things": {g: {m: _words(s) for m, s in kinds.items()} for g, kinds in things.items()},
            "states": tuple(states.split()), "places": tuple(pairs), "events": _words(events)}


GENRES: dict[str, dict] = {
    # --- matched: in training and in validation_matched
    "farm": _genre(
        {"animal": {"dog": "spaniel, collie, terrier", "cow": "heifer, milk cow, beef cow",
                    "horse": "mare, stallion, cart horse", "bird": "duck, chicken, turkey"},
         "machine": {"tractor": "garden tractor, vineyard tractor", "pump": "water pump, milk pump, fuel pump"}},
        "wet clean heavy large calm", "in the hay barn < in the barn; in the rose garden < in the garden;"
        " on the kitchen floor < in the farmhouse; in the north field < in the fields",
        "harvest, cattle show, sheep sale, spring planting, barn dance"),
    "kitchen": _genre(
        {"container": {"pot": "soup pot, tea pot, stock pot", "bowl": "salad bowl, fruit bowl, sugar bowl",
                       "bottle": "wine bottle, milk bottle, oil bottle"},
         "fruit": {"apple": "green apple, cooking apple", "orange": "blood orange, navel orange",
                   "melon": "water melon, honey melon"}},
        "wet clean heavy large cheap warm", "on the top shelf < in the pantry; at the head table < in the dining room;"
        " in the cold store < in the cellar; by the garden chairs < on the terrace",
        "breakfast, baking lesson, wine tasting, family dinner, staff lunch"),
    "office": _genre(
        {"device": {"printer": "laser printer, photo printer", "phone": "desk phone, mobile phone, video phone",
                    "computer": "laptop, tablet, workstation"},
         "document": {"letter": "cover letter, thank-you letter", "report": "sales report, audit report, travel report",
                      "map": "street map, floor map"}},
        "clean heavy large cheap old", "in the corner office < on the first floor; in the mail room < in the basement;"
        " in the board room < on the top floor; at the gate < in the car park",
        "board meeting, staff training, job interview, budget review, fire drill"),
    "school": _genre(
        {"book": {"novel": "crime novel, love novel, war novel", "cookbook": "baking cookbook, grill cookbook",
                  "textbook": "maths textbook, history textbook"},
         "instrument": {"drum": "snare drum, bass drum", "flute": "wooden flute, silver flute",
                        "guitar": "folk guitar, electric guitar"}},
        "clean large cheap old red", "in the back row < in the classroom; in the reading corner < in the library;"
        " behind the stage < in the theatre; under the goal < in the playground",
        "spelling test, school play, maths exam, sports day, book fair"),
    "harbour": _genre(
        {"vessel": {"ferry boat": "car ferry boat, night ferry boat", "yacht": "racing yacht, motor yacht",
                    "tanker": "oil tanker, gas tanker, water tanker"},
         "sea animal": {"shark": "white shark, tiger shark", "eel": "river eel, electric eel",
                  "ray": "sting ray, eagle ray"}},
        "wet clean heavy large red", "at the north pier < in the harbour; off the whale reef < on the open sea;"
        " in the fish hall < in the market; in the tower room < in the lighthouse",
        "boat race, storm warning, fish auction, ship launch, harbour tour"),
    "workshop": _genre(
        {"tool": {"hammer": "claw hammer, sledge hammer", "saw": "hand saw, chain saw, band saw",
                  "drill": "power drill, hand drill"},
         "furniture item": {"chair": "armchair, rocking chair, desk chair", "table": "card table, dining table",
                            "bed": "bunk bed, camp bed"}},
        "wet heavy cheap old broken red", "on the middle bench < in the workshop; in the paint room < in the annex;"
        " in the loading bay < in the yard; in the back aisle < in the store",
        "safety course, tool sale, delivery, open day, power cut"),
    # --- mismatched: in validation_mismatched only
    "museum": _genre(
        {"artwork": {"painting": "oil painting, portrait painting, cave painting",
                     "statue": "marble statue, bronze statue", "vase": "flower vase, burial vase"},
         "weapon": {"sword": "long sword, short sword", "bow": "hunting bow, war bow", "shield": "round shield"}},
        "clean heavy large old broken", "in the Roman room < in the east wing; in the map room < in the west wing;"
        " at the ticket desk < in the entrance hall; by the fountain < in the park",
        "auction, guided tour, exhibition opening, press visit, night walk"),
    "hospital": _genre(
        {"medicine": {"tablet": "pain tablet, sleeping tablet", "syrup": "cough syrup, fever syrup",
                      "cream": "skin cream, eye cream"},
         "vehicle": {"ambulance": "rescue ambulance, baby ambulance", "bicycle": "city bicycle, racing bicycle",
                     "wheelchair": "sports wheelchair, electric wheelchair"}},
        "wet clean large cheap red", "in the operating room < on the second floor; in the X-ray room < in the basement;"
        " at the night desk < in the lobby; on the roof terrace < on the roof",
        "ward round, blood drive, eye test, night shift, health talk"),
    "orchestra": _genre(
        {"instrument": {"violin": "student violin, baroque violin", "horn": "French horn, hunting horn",
                        "piano": "grand piano, toy piano"},
         "garment": {"coat": "rain coat, tail coat, fur coat", "hat": "straw hat, top hat", "shirt": "silk shirt"}},
        "wet heavy large cheap old", "in the front row < in the hall; in the make-up room < backstage;"
        " in the sound booth < in the studio; at the snack bar < in the foyer",
        "rehearsal, concert, recording, sound check, gala"),
    "market": _genre(
        {"vegetable": {"onion": "red onion, spring onion", "pepper": "bell pepper, chili pepper",
                       "cabbage": "savoy cabbage, napa cabbage"},
         "toy": {"doll": "rag doll, paper doll", "kite": "box kite, stunt kite", "puzzle": "word puzzle, wooden puzzle"}},
        "wet clean large cheap red", "at the corner stall < on the square; in the meat hall < in the covered market;"
        " on the lower deck < in the car park; in the guard room < in the town hall",
        "flower sale, street parade, price check, cooking show, lottery draw"),
    "camping": _genre(
        {"shelter": {"tent": "dome tent, tunnel tent", "cabin": "log cabin, ski cabin", "caravan": "touring caravan"},
         "insect": {"beetle": "stag beetle, water beetle", "ant": "fire ant, wood ant", "moth": "hawk moth, silk moth"}},
        "wet clean large red calm", "in the boat shed < at the jetty; in the upper bunk < in the hut;"
        " on the back seat < in the bus; in the wash room < in the main house",
        "hike, camp fire, canoe trip, star watch, rain shower"),
    "railway": _genre(
        {"train": {"express train": "night express train, airport express train", "tram": "city tram, horse tram",
                   "freight train": "coal freight train, grain freight train"},
         "bag": {"suitcase": "leather suitcase, hard suitcase", "backpack": "school backpack, hiking backpack",
                 "basket": "picnic basket, laundry basket"}},
        "wet clean heavy old red", "at the last platform < in the station; in the engine hall < in the museum;"
        " in the signal room < in the depot; at the taxi stand < on the forecourt",
        "strike, track inspection, ticket sale, platform repair, farewell party"),
}
MATCHED = ("farm", "kitchen", "office", "school", "harbour", "workshop")
MISMATCHED = ("museum", "hospital", "orchestra", "market", "camping", "railway")
