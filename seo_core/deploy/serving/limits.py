"""How much one worker takes, each with its reason. Times are in seconds, and those of work on a core with AVX512-VNNI,
where a pair takes about 0.8 ms; with AVX2 alone it is four times as long."""

from dataclasses import dataclass

from seo_core.checks import SettingsError, above, at_least, check


@dataclass(frozen=True)
class Limits:
    """Raises SettingsError for what is no limit, and where a request within the limits could never be taken."""

    body: int = at_least(1, default=1_000_000)  # bytes of a request: 64 pairs of MultiNLI are 20 kB, so no text is near
    texts: int = at_least(1, default=64)  # texts or pairs of a request: 50 ms of work, all that others have to wait
    characters: int = at_least(1, default=10_000)  # of a text: the model reads 128 tokens, about 600; the rest is cut
    queue: int = at_least(1, default=256)  # texts that wait: 0.2 s of work; whoever came later would wait in vain
    window: int = at_least(1, default=32)  # texts sorted by length together: 26 ms, and twice as many gain only 3%
    batch: int = at_least(1, default=8)  # texts in a call of the engine: more of them pad one another
    call: float = at_least(0, default=15)  # tokens that a call costs beside its own; 5 to 60 are nearly as good
    gather: float = at_least(0, default=0.002)  # a batch waits so long for requests that are being read: 2 pairs' time
    read: float = above(0, default=10.0)  # to receive a request: 1 MB in it is 0.8 Mbit/s, a slow phone
    answer: float = above(0, default=5.0)  # to wait for the engine: 25 times a full queue; by then it hangs
    idle: int = at_least(1, default=5)  # a connection between requests, its next request's headers included
    connections: int = at_least(1, default=512)  # open at once, or requests: half of the usual limit of files, 1024
    finish: int = at_least(1, default=20)  # to finish what was accepted after SIGTERM: Kubernetes kills after 30

    def __post_init__(self):
        check(self, SettingsError)
        if self.texts > self.queue:
            raise SettingsError(f"a request of texts={self.texts} would never fit a queue={self.queue}: raise queue")
