# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb,-all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-all
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Figure 1: the system
#
# SEO-LLM {cite}`seollm2024`, renamed SEC in its revision {cite}`sec2025`, is drawn as one system in its Figure 1. Which parts does it have, how do they hang together, and which code stands for each?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the runs whose records are shown
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %% tags=["hide-input"]
import importlib

from IPython.display import Math, display

from seo_core import figures, load_settings
from seo_core.analysis import papers
from seo_core.analysis.findings import Finding
from seo_core.analysis.tables import Table

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir)

# %% tags=["here", "answer", "remove-input"]
structure = figures.structure()
solid = structure["state"] == "in the package"
missing = ", ".join(structure.loc[~solid, "component"])
Finding(f"""
The system has four parts. One makes the *data* go further, one makes the
*model* smaller, a *controller* balances the two, and an *evaluation* reports
back to it. Of the {len(structure)} boxes in the figure the package has
{solid.sum()}; {'missing: ' + missing if missing else 'none is missing'}.""")

# %% mystnb={"figure": {"caption": "The system of SEO-LLM and SEC, drawn from the package. Green: data optimization. Purple: model compression. Orange: control and feedback. Blue: what is optimized. A dashed box is a part that the package does not have yet.", "name": "fig-architecture"}, "image": {"alt": "Diagram. The Synergy Controller at the top sends weights and budgets to two modules: data optimization on the left (adaptive data augmentation, transfer-active learning) and model compression on the right (adaptive iterative pruning, quantization and distillation). The left module feeds the data, the right one the language model; data, model and training follow one another in the middle. Training leads to performance evaluation, and a feedback loop leads from there back to the controller."}} tags=["here"]
drawn = figures.architecture()

# %% tags=["remove-input"]
figures.box_links(drawn, instead="fig-architecture")

# %% [markdown]
# A click on a box leads to its chapter, on the name of its module to the code.
#
# The diagram is not a copy of the papers'. It is drawn from this book's code: each box names a component and the module that stands for it. A box would be dashed, and say "not implemented yet", if the package lacked the component.
#
# ## How to read it
#
# Start at the top and follow the arrows once around.
#
# - **Synergy Controller.** Two weights, $\lambda_1$ and $\lambda_2$, say how much spent data and model size count against the task's loss. The controller changes them as it goes, and hands out budgets ([](14_synergy_controller)).
# - **Data optimization.** *Adaptive data augmentation* ({term}`ADA`) adds edited examples and changes its edits as the model learns ([](04_adaptive_augmentation)). *Transfer-active learning* ({term}`TAL`) starts from another task and picks the examples that are worth a label ([](07_transfer_active_learning)).
# - **Model compression.** *Adaptive iterative pruning* ({term}`AIP`) removes weights while the measured performance allows it ([](10_adaptive_iterative_pruning)). *Synergistic quantization and distillation* ({term}`SQD`) trains a smaller student in small integers against the full model ([](13_quantization_distillation)).
# - **Feedback loop.** The performance $P$ that was measured decides what the controller does next. [](15_seo_llm) runs it once around.
#
# :::{dropdown} The chapter and the code of each box
# | box | chapter | code |
# | --- | --- | --- |
# | Synergy Controller | [](14_synergy_controller) | [`controller`](../book/api/controller) |
# | ADA | [](04_adaptive_augmentation) | [`augmentation`](../book/api/augmentation) |
# | TAL | [](07_transfer_active_learning) | [`selection`](../book/api/selection) |
# | AIP | [](10_adaptive_iterative_pruning) | [`pruning`](../book/api/pruning) |
# | SQD | [](13_quantization_distillation) | [`distillation`](../book/api/distillation) |
# | Data | [](01_data) | [`data`](../book/api/data) |
# | Language model | [](02_baseline) | [`models`](../book/api/models) |
# | Training | [](bench_training) | [`training`](../book/api/training) |
# | Performance evaluation | [](tab4_accuracy_perplexity) | [`evaluation`](../book/api/evaluation) |
# | Feedback loop | [](15_seo_llm) | [`pipeline`](../book/api/pipeline) |
# :::
#
# The papers give one equation for each part:

# %% tags=["hide-input"]
for equation in papers.EQUATIONS:
    display(Math(equation.latex + rf"\enspace\text{{({equation.number}: "
                 rf"{equation.defines})}}"))

# %% [markdown]
# $D$ is the data, $M(\theta)$ the model with weights $\theta$, $P$ a performance metric, $T$ a threshold of the task. $D_s$, $D_t$ and $D_u$ are source, target and unlabelled data. $\theta_q$ and $\theta_t$ are the weights of the quantized student and of its teacher. $\lambda$ and $\alpha$ weigh one term against another.
#
# ## What the papers leave open
#
# They do not say how ADA or AIP decide, what form $R_{data}$ and $R_{model}$ have, or how the controller sets its weights {cite}`seollm2024,sec2025`. Our reading of each stands in its module. What do the boxes say of themselves?

# %% tags=["here"]
for part in structure[solid].itertuples():
    if part.side in ("data", "compression", "control"):
        print(f"{part.symbol}: {part.summary.split('. ')[0]}")

# %% tags=["here"]
Table(structure[["component", "module", "symbol", "state"]],
      folded="which code stands for which box")

# %% [markdown]
# **Check.** A box that is drawn solid must be a thing that can be imported, and one that is dashed must not be. The core of the system must be there, and so must the control loop.

# %% tags=["here"]
def importable(row):
    """Whether the module exists and has the symbol."""
    try:
        return hasattr(importlib.import_module(row.module), row.symbol)
    except ModuleNotFoundError:
        return False


assert list(solid) == [importable(row) for row in structure.itertuples()]
assert solid[structure["side"] == "core"].all()
arrows = {edge[:2] for edge in figures.EDGES}
assert {("loop", "controller"), ("controller", "data module"),
        ("controller", "compression module")} <= arrows
print("every solid box can be imported; the control loop is closed")

# %% [markdown]
# ## From rooms to system
#
# The package is a house of rooms. Notebooks use the techniques, the techniques use training and evaluation, and these use the data and the models. Only `figures` draws. Which rooms does no other import, and which import none?

# %% tags=["here"]
imports = figures.dependencies()
taken = imports.set_index("module")["imports"].str.split(", ")
used = taken.explode()
print("on top, imported by none:", ", ".join(
    name for name in taken.index if name not in set(used)))
print("at the ground, importing none:", ", ".join(
    name for name in taken.index if taken[name] == ["—"]))
often = used[used != "—"].value_counts().index[:4]
print("imported most:", ", ".join(often))

# %% tags=["here"]
Table(imports, folded="what each room imports from the others")

# %% [markdown]
# Both tables are made by reading the sources, without importing them. This page is about the code: it stands on no record, and the parameters above have no effect on it.
#
# ## To remember
#
# - Two modules act, on the data and on the model. One controller weighs them, and a measurement closes the loop.
# - Five equations say what is optimized. How the parts decide is left open, and is this book's reading.
# - A drawing that is made from code cannot promise what the code lacks.
#
# ## Exercises
#
# **1.** *Semi-supervised learning* is a row of the papers' tables, and no box of their diagram. Which code would stand for it, and on which side would you draw it?

# %% tags=["hide-cell", "here"]
from seo_core.selection.pseudo import self_training

print("selection.pseudo.self_training:",
      self_training.__doc__.splitlines()[0])
print("on the side of the data: it adds rows, and leaves the model's size")

# %% [markdown]
# **2.** Give the system a box of your own, whose symbol does not exist. When does it become solid?

# %% tags=["hide-cell", "here"]
mine = figures.COMPONENTS[0]._replace(key="mine", name="My part",
                                      module="controller", symbol="MyPart")
for symbol in ("MyPart", "SynergyController"):
    part = mine._replace(symbol=symbol)
    there = hasattr(importlib.import_module(f"seo_core.{part.module}"),
                    part.symbol)
    print(f"{symbol}:", "solid" if there else "dashed")
print("as soon as its module defines the symbol")

# %% [markdown]
# **3.** One of the controller's three principles is "compression-guided data selection" ([](14_synergy_controller)). Which arrow does it need, and does the diagram have it?

# %% tags=["hide-cell", "here"]
sides = {part.key: part.side for part in figures.COMPONENTS}
crossing = [edge[:2] for edge in figures.EDGES
            if {sides.get(end) for end in edge[:2]} == {"data", "compression"}]
print("arrows between the two modules:", crossing or "none")
print("one from the compression module to the data module; here what the",
      "one learns reaches the other by way of the controller", sep="\n")
