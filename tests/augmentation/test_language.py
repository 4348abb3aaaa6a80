"""Texts whose words the operators do not know stay as they are, and that is said; English is not taken for them."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from seo_core.augmentation import OPERATORS, augment, language, wordnet
from seo_core.augmentation.language import is_english
from seo_core.augmentation.perturbation import paraphrase
from seo_core.data import generate, load_nli, load_task

FOREIGN = {
    "German": """Der Mann sitzt auf einer Bank im Park und liest die Zeitung.
        Niemand hat gestern Abend das Konzert in der alten Kirche besucht.
        Die Kinder spielen hinter dem Haus mit einem kleinen Hund.
        Wenn es morgen regnet, bleiben wir zu Hause und lesen ein Buch.
        Sie hat den Brief nie abgeschickt, weil ihr der Mut fehlte.
        In der Stadt gibt es mehr als zwanzig Museen und ein Theater.
        Das Hotel war so teuer, dass wir nur eine Nacht geblieben sind.
        Er will am Wochenende mit seinen Freunden in die Berge fahren.
        Alle Fenster waren offen, und im Zimmer lag der Schnee.
        Ein Student arbeitet in der Bank, seine Schwester im Garten.
        Der Film fing um acht an, aber der Zug kam erst um neun.
        Die Suppe ist warm, das Brot ist frisch, und der Wein ist gut.""",
    "French": """Un homme est assis sur un banc du parc et lit le journal.
        Personne n'est venu au concert dans la vieille église hier soir.
        Les enfants jouent derrière la maison avec un petit chien.
        S'il pleut demain, nous resterons à la maison pour lire un livre.
        Elle n'a jamais envoyé la lettre, car elle manquait de courage.
        On trouve dans la ville plus de vingt musées et un grand théâtre.
        L'hôtel était si cher que nous n'y sommes restés qu'une nuit.
        Il veut aller à la montagne avec ses amis pendant le week-end.
        Toutes les fenêtres étaient ouvertes et la chambre était froide.
        Le restaurant de la place est ouvert, mais la table est prise.
        Le film a commencé à huit heures, le train est arrivé à neuf.
        La soupe est chaude, le pain est frais et le vin est bon.""",
    "Spanish": """Un hombre está sentado en un banco del parque y lee el periódico.
        Nadie fue anoche al concierto en la vieja iglesia de la plaza.
        Los niños juegan detrás de la casa con un perro pequeño.
        Si mañana llueve, nos quedamos en casa a leer un libro.
        Ella nunca envió la carta porque no tuvo el valor.
        En la ciudad hay más de veinte museos y un gran teatro.
        El hotel era tan caro que solo nos quedamos una noche.
        Quiere ir a la montaña con sus amigos el fin de semana.
        Todas las ventanas estaban abiertas y hacía frío en la sala.
        Me dijo que no, pero al final he visto que son de aquí.
        La película empezó a las ocho y el tren llegó a las nueve.
        La sopa está caliente, el pan es del día y el vino es bueno.""",
    "Dutch": """De man zit op een bank in het park en leest de krant.
        Niemand was gisteravond bij het concert in de oude kerk.
        De kinderen spelen achter het huis met een kleine hond.
        Als het morgen regent, blijven we thuis en lezen we een boek.
        Ze heeft de brief nooit verstuurd, want ze had de moed niet.
        In de stad zijn er meer dan twintig musea en een theater.
        Het hotel was zo duur dat we er maar een nacht bleven.
        Hij wil in het weekend met zijn vrienden naar de bergen.
        Alle ramen waren open en het was koud in de kamer.
        Een student is in de bank, zijn zus was in de tuin.
        De film begon om acht uur, de trein kwam pas om negen uur.
        De soep is warm, het brood is vers en de wijn is goed.""",
    "Chinese": """一个男人坐在公园的长椅上看报纸。昨晚没有人去老教堂听音乐会。孩子们在房子后面和一只小狗玩耍。
        如果明天下雨，我们就待在家里看书。她从来没有寄出那封信，因为她没有勇气。城里有二十多座博物馆和一座剧院。
        旅馆太贵了，我们只住了一个晚上。他周末想和朋友们去山里。所有的窗户都开着，房间里很冷。
        电影八点开始，火车九点才到。汤是热的，面包是新鲜的，酒很好。""",
    "Russian": """Мужчина сидит на скамейке в парке и читает газету.
        Вчера вечером никто не пришёл на концерт в старой церкви.
        Дети играют за домом с маленькой собакой.
        Если завтра будет дождь, мы останемся дома и почитаем книгу.
        Она так и не отправила письмо, потому что ей не хватило смелости.
        В городе больше двадцати музеев и один большой театр.
        Гостиница была такой дорогой, что мы остались только на одну ночь.
        Он хочет поехать в горы с друзьями на выходные.
        Все окна были открыты, и в комнате было холодно.
        Фильм начался в восемь, а поезд пришёл только в девять.""",
}
ENGLISH = {
    "headlines": """Oil prices fall as dollar strengthens. Government unveils tax plan. Storm batters northern coast.
        Bank shares tumble after profit warning. Scientists discover ancient river beneath desert.
        Football club signs young striker. Minister resigns over report. Farmers protest against import rules.
        Museum reopens following renovation. Police arrest suspect near station. Inflation slows again.""",
    "goods": """Wooden garden chair with cushion, green. Stainless steel water bottle, large. Leather wallet for men.
        Ceramic coffee mug set. Wireless keyboard and mouse. Cotton bed sheets, double. Mountain bicycle helmet.
        Electric kettle, glass. Running shoes, lightweight. Portable camping stove. Acoustic guitar strings.""",
    "chat": """yeah i think so too. uh-huh well it's not that bad is it? i don't know, they're always late anyway.
        what're you gonna do about it? we'd better go now, it's cold. she said she'd call me, but she hasn't.
        i can't believe you've never seen that one! that's what i was trying to tell him the other day.""",
}


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


def frame_of(texts: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"text": texts, "label": np.arange(len(texts)) % 2})


needs_wordnet = pytest.mark.skipif(wordnet.find() is None, reason=f"no WordNet here: {wordnet.HOW}")


@pytest.mark.parametrize("name", FOREIGN)
def test_other_languages_are_told(name):
    assert not is_english(lines(FOREIGN[name]))
    assert not is_english([text.lower() for text in lines(FOREIGN[name])])


@pytest.mark.parametrize("name", ENGLISH)
@needs_wordnet
def test_english_of_all_kinds_is_english(name):
    assert is_english(lines(ENGLISH[name]))
    assert is_english([text.upper() for text in lines(ENGLISH[name])])


def test_a_few_words_are_not_judged():
    for text in FOREIGN.values():
        assert is_english([text[:40]])
    assert is_english([]) and is_english(["", "  ", "12 3.5 !"] * 50)


@pytest.mark.parametrize("operator", [name for name, each in OPERATORS.items() if each.english])
@pytest.mark.parametrize("name", ["German", "Chinese"])
def test_an_operator_of_words_leaves_them_and_says_so_once(operator, name):
    with pytest.warns(UserWarning, match=f"not English, and operator '{operator}' knows English words only") as said:
        copies = augment(frame_of(lines(FOREIGN[name]) * 3), operator, texts=["text"])
    assert len(said) == 1 and said[0].filename == __file__
    assert len(copies) == 0 and list(copies) == ["text", "label", "source", "operator", "side"]


def test_translation_models_that_are_named_read_what_they_are_for(monkeypatch):
    def reversed_words(job):
        return [" ".join(text.split()[::-1]) for text in job.texts]

    operator = replace(OPERATORS["back_translation"], edit=reversed_words)
    monkeypatch.setitem(OPERATORS, "back_translation", operator)
    frame = frame_of(lines(FOREIGN["German"]))
    with warnings.catch_warnings(action="error"):
        assert len(augment(frame, "back_translation", texts=["text"], model="one,two")) == 12
    with pytest.warns(UserWarning, match="not English"):
        assert len(augment(frame, "back_translation", texts=["text"])) == 0


def test_punctuation_is_inserted_in_any_language():
    with warnings.catch_warnings(action="error"):
        assert len(augment(frame_of(lines(FOREIGN["German"])), "aeda", texts=["text"])) == 12


@needs_wordnet
def test_a_paraphrase_of_another_language_is_the_text_itself():
    frame = frame_of(lines(FOREIGN["French"]))
    with pytest.warns(UserWarning, match="not English"):
        pd.testing.assert_frame_equal(paraphrase(frame, texts=("text",)), frame)


@pytest.mark.parametrize("operator", ["synonym", "neighbour", "eda"])
def test_english_texts_pass_without_a_word(operator):
    if reason := OPERATORS[operator].available():
        pytest.skip(reason)
    with warnings.catch_warnings(action="error"):
        assert len(augment(generate(200, seed=2), operator))


def test_without_wordnet_function_words_decide(monkeypatch):
    monkeypatch.setattr(wordnet, "find", lambda: None)
    assert is_english(lines(ENGLISH["chat"])) and is_english(generate(100, seed=0)["premise"].tolist())
    assert not any(is_english(lines(text)) for text in FOREIGN.values())


@pytest.mark.slow
def test_real_english_is_english_by_its_function_words(real_data, monkeypatch):
    """A hundred texts of each, and whole sets: WordNet is not asked."""
    monkeypatch.setattr(language.wordnet, "known", None)  # would fail if called
    task = load_nli(real_data("mnli"))
    sets = {"premise": task["validation_matched"]["premise"], "hypothesis": task["validation_matched"]["hypothesis"],
            "sst2": load_task(real_data("sst2"), text="sentence")["validation"]["sentence"],
            "cola": load_task(real_data("cola"), text="sentence")["validation"]["sentence"]}
    for texts in sets.values():
        texts = texts.tolist()
        assert is_english(texts)
        assert all(is_english(texts[start : start + 100]) for start in range(0, min(len(texts), 5000), 100))
