"""What came out of a compression: the students that were tried, and whether each goal was reached."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from seo_core import results
from seo_core.analysis import statistics
from seo_core.analysis.tables import rows_or
from seo_core.arms import Lab, Run
from seo_core.compress.goals import Goals, clock, signed, spelled
from seo_core.compress.plan import Plan, Shape
from seo_core.deploy import artifact

BASELINE, STUDENT = "baseline", "student"  # in the table of times
EXPERIMENT, RECORD = "compress", "compressed"


@dataclass(frozen=True)
class Try:
    """A student that was made, and what was measured of it before the held-out rows were looked at."""

    shape: Shape
    runs: tuple[Run, ...]  # of its stages, in order: the baseline first, the student last
    loss: float  # points below the baseline, on the rows that decisions look at
    times: pd.DataFrame  # of `timed`: the baseline's and its own

    @property
    def run(self) -> Run:
        """The student."""
        return self.runs[-1]

    @property
    def ms(self) -> float:
        """The median of one text alone."""
        return float(self.times.at[STUDENT, "latency_ms_p50"])

    def missed(self, goals: Goals) -> int:
        """How many goals it misses, as far as decisions may know."""
        found = {"max_size": self.run.metrics["size_bytes"], "max_loss": self.loss, "max_latency": self.ms}
        return sum(getattr(goals, name) is not None and value > getattr(goals, name) for name, value in found.items())


@dataclass(frozen=True)
class Compressed:
    """What came out: an artifact, a page about it, and whether each goal was reached."""

    artifact: Path
    page: Path
    lab: Lab
    goals: Goals
    plan: Plan
    chosen: Try
    tries: tuple[Try, ...]
    seconds: float  # in all

    def load(self, **options):
        """The classifier: see `seo_core.load`."""
        return artifact.load(self.artifact, **options)

    @property
    def run(self) -> Run:
        """The student that was packed."""
        return self.chosen.run

    @property
    def base(self) -> Run:
        """The baseline."""
        return self.chosen.runs[0]

    @property
    def held(self) -> str:
        """The split that nothing was chosen by; of data whose official sets are sealed, the acceptance half."""
        return self.lab.scored[0]

    @property
    def kind(self) -> str:
        """What the rows of `held` are: held-out, or development where the official sets are sealed."""
        return "held-out" if self.held in self.lab.official else "development"

    def right(self, run: Run) -> np.ndarray:
        """(n,) which held-out rows a run got right."""
        return results.predictions(run.path)[f"{self.held}_correct"]

    @property
    def loss(self) -> statistics.Interval:
        """Points of accuracy below the baseline on held-out rows, paired by row, with a 95% interval."""
        gap = statistics.paired_difference(self.right(self.base), self.right(self.run))
        return statistics.Interval(*(100 * value for value in gap[:3]), gap.n)

    @property
    def outcome(self) -> dict[str, tuple[float, float, bool]]:
        """Goal -> (what was asked for, what was measured, whether that reaches it), of the goals that there are."""
        measured = {"max_size": self.run.metrics["size_bytes"], "max_loss": self.loss[0],
                    "max_latency": self.chosen.ms, "time": self.seconds}
        return {name: (asked, measured[name], measured[name] <= asked)
                for name in measured if (asked := getattr(self.goals, name)) is not None}

    @property
    def reached(self) -> bool:
        """Whether all goals were."""
        return all(good for _, _, good in self.outcome.values())

    def goals_table(self) -> pd.DataFrame:
        """A row for each goal: what was asked for, what was measured, reached or missed."""
        rows = [(name, spelled(name, asked), spelled(name, value), "reached" if good else "missed")
                for name, (asked, value, good) in self.outcome.items()]
        return pd.DataFrame(rows, columns=["goal", "at most", "measured", ""])

    def numbers_table(self) -> pd.DataFrame:
        """The baseline and the result: accuracy on held-out rows with its interval, bytes, time of one text alone."""
        rows = {}
        for title, run, place in (("baseline", self.base, BASELINE), ("result", self.run, STUDENT)):
            right, times = self.right(run), self.chosen.times.loc[place]
            low, high = statistics.wilson(float(right.mean()), len(right))
            rows[title] = {
                f"accuracy on {len(right)} {self.kind} rows, %": f"{100 * right.mean():.2f} ({100 * low:.1f} to "
                                                              f"{100 * high:.1f})",
                "file": spelled("max_size", times["size_bytes"]),
                "one text: median (95th percentile)": f"{times['latency_ms_p50']:.2f} ms "
                                                      f"({times['latency_ms_p95']:.2f})",
                "parameters": f"{run.record['model']['parameters'] / 1e6:.2f} M"}
        return pd.DataFrame(rows).rename_axis("").reset_index()

    def stages_table(self) -> pd.DataFrame:
        """The stages of the first plan: what was predicted, and what each run took by its record, whenever that was."""
        rows = [(stage.title, f"{stage.epochs:g} × {stage.pairs}", "done before" if stage.done else
                 clock(stage.seconds), clock(_took(run)))
                for stage, run in zip(self.plan.stages, self.tries[0].runs, strict=True)]
        return pd.DataFrame(rows, columns=["stage", "epochs × texts", "predicted", "took"])

    def tries_table(self) -> pd.DataFrame:
        """A row for each student that was made, in order."""
        return pd.DataFrame([{
            "pruned away": f"{each.run.metrics.get('removed', each.shape.share):.0%}",
            "words": each.run.metrics.get("vocabulary", each.shape.words),
            "predicted": spelled("max_size", each.shape.bytes),
            "file": spelled("max_size", each.run.metrics["size_bytes"]), "one text": spelled("max_latency", each.ms),
            "points lost (development)": signed(each.loss),
            "": "packed" if each is self.chosen else ""} for each in self.tries])

    def write(self, started: float, command: str) -> Path:
        """The record of the whole: what was asked for and what came out of it, with both networks' classes of the
        held-out rows. started: a `time.time`. command: that makes it again. Raises ResultsError."""
        settings, labels = self.lab.settings, self.lab.task[self.held]["label"].to_numpy()
        runs = {BASELINE: self.base, STUDENT: self.run}
        contestants = {name: {**self.chosen.times.loc[name].to_dict(), "accuracy": float(self.right(run).mean()),
                              "parameters": run.record["model"]["parameters"]} for name, run in runs.items()}
        loss = self.loss
        metrics = {"loss": loss.difference, "loss_low": loss.low, "loss_high": loss.high, "held_out_rows": len(labels),
                   "seconds": self.seconds, "stage_seconds": sum(map(_took, self.tries[0].runs)),
                   "predicted_seconds": self.plan.seconds, "tries": len(self.tries),
                   **{f"reached_{name}": int(good) for name, (_, _, good) in self.outcome.items()}}
        return results.write(
            EXPERIMENT, RECORD, settings=settings, data=self.lab.task, model_info=self.base.record["model"],
            metrics=metrics, contestants=contestants, started=started, again=command,
            parameters={"goals": self.goals, "pruned": self.chosen.shape.pruned, "words": self.chosen.shape.words,
                        "edits": self.plan.edits, "student_epochs": self.plan.epochs},
            predictions={self.held: results.predictions(self.run.path)[self.held],
                         BASELINE: results.predictions(self.base.path)[self.held]},
            labels={self.held: labels, BASELINE: labels})

    @property
    def lost(self) -> str:
        """The loss and its interval in words."""
        value, low, high = map(signed, self.loss[:3])
        return f"{value} points ({low} to {high})"

    @property
    def warning(self) -> str:
        """What makes the result worth less, in sentences; empty where nothing does."""
        right, label = self.right(self.base), self.lab.pool["label"].mode()[0]
        share = float((self.lab.task[self.held]["label"] == label).mean())
        said = []
        if self.kind == "development":
            said.append(f"The official sets of {self.lab.task.name} are sealed (book/final.yml): what is measured here "
                        "is on development rows, which choices looked at too.")
        if statistics.wilson(float(right.mean()), len(right))[0] <= share:
            said.append(f"The baseline is not surely better than always saying {self.lab.task.labels[label]!r}, which "
                        f"is right for {share:.1%} of the {self.kind} rows: it needs more rows or epochs before a loss "
                        "says anything.")
        return " ".join(said)

    def __str__(self) -> str:
        tables = [table.to_string(index=False) for table in (self.goals_table(), self.numbers_table()) if len(table)]
        return "\n\n".join([*tables, f"lost against the baseline: {self.lost}", *filter(None, [self.warning]),
                            f"artifact: {self.artifact}\npage:     {self.page}"])

    __repr__ = __str__


def _took(run: Run) -> float:
    """Seconds of a run by its record, whenever that was."""
    began, ended = (datetime.fromisoformat(run.record["provenance"][name]) for name in ("started", "finished"))
    return (ended - began).total_seconds()


def report(*folders):
    """The records of compressions under the folders, newest first, as a table for a page; one row where there is
    none."""
    records = [record for record in results.load_records(*folders) if record["experiment"] == EXPERIMENT]
    rows = []
    for record in sorted(records, key=lambda record: record["provenance"]["finished"], reverse=True):
        metrics, student = record["metrics"], record["contestants"][STUDENT]
        asked = {name: value for name, value in record["parameters"]["goals"].items() if value is not None}
        missed = [name for name in asked if not metrics[f"reached_{name}"]]
        rows.append((Path(record["data"]["name"]).name, record["data"]["train_rows"],
                     ", ".join(spelled(*goal) for goal in asked.items()),
                     f"{100 * record['contestants'][BASELINE]['accuracy']:.2f}", f"{100 * student['accuracy']:.2f}",
                     "{} [{}, {}]".format(*(signed(metrics[f"loss{end}"]) for end in ("", "_low", "_high"))),
                     spelled("max_size", student["size_bytes"]), spelled("max_latency", student["latency_ms_p50"]),
                     clock(metrics["stage_seconds"]), ", ".join(missed) or "none"))
    return rows_or(rows, ("data", "rows", "goals", "baseline, %", "result, %", "lost", "file", "one text", "training",
                          "missed"))
