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
# SEO-LLM {cite}`seollm2024`, renamed SEC in its revision {cite}`sec2025`, has four parts: a module that
# makes the *data* go further, a module that makes the *model* smaller, a controller that balances the two,
# and an evaluation whose outcome goes back to the controller. Each paper shows them in a diagram, its
# Figure 1.
#
# The diagram below is not a copy of theirs. It is drawn from this book's code: each box names a component
# of the papers and the module that stands for it. A box is dashed and says "not implemented yet" as long as
# the package does not have the component.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the runs whose records are shown
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %% tags=["hide-input"]
from seo_core import figures, load_settings
from seo_core.analysis import papers
from seo_core.analysis.tables import Table

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir)

# %% mystnb={"figure": {"caption": "The system of SEO-LLM and SEC, drawn from the package. Green: data optimization. Purple: model compression. Orange: control and feedback. Blue: what is optimised. A dashed box is a part that the package does not have yet.", "name": "fig-architecture"}, "image": {"alt": "Diagram. The Synergy Controller at the top sends weights and budgets to two modules: data optimization on the left (adaptive data augmentation, transfer-active learning) and model compression on the right (adaptive iterative pruning, quantization and distillation). The left module feeds the data, the right one the language model; data, model and training follow one another in the middle. Training leads to performance evaluation, and a feedback loop leads from there back to the controller."}} tags=["live"]
_ = figures.architecture()

# %% [markdown]
# ## How to read it
#
# - **Data optimization.** *Adaptive data augmentation* (ADA) adds edited examples and changes its edits as
#   the model learns. *Transfer-active learning* (TAL) starts from another task and picks the examples that
#   are worth a label.
# - **Model compression.** *Adaptive iterative pruning* (AIP) removes weights while the measured performance
#   allows it. *Synergistic quantization and distillation* (SQD) trains a smaller, 8-bit student against the
#   full model.
# - **Synergy Controller.** Two weights, $\lambda_1$ and $\lambda_2$, say how much spent data and model size
#   count against the task's loss. The controller changes them as it goes.
# - **Feedback loop.** The performance $P$ that was measured decides what the controller does next.
#
# The papers give one equation for each part:

# %% tags=["hide-input"]
from IPython.display import Math, display

for equation in papers.EQUATIONS:
    display(Math(equation.latex + rf"\qquad\text{{({equation.number}: {equation.defines})}}"))

# %% [markdown]
# $D$ is the data, $M(\theta)$ the model with weights $\theta$, $P$ a performance metric, $T$ a threshold of
# the task; $D_s$, $D_t$ and $D_u$ are source, target and unlabelled data; $\theta_q$ and $\theta_t$ are the
# weights of the quantized student and of its teacher; $\lambda$ and $\alpha$ weigh one term against
# another. The papers do not say how ADA or AIP decide, what form $R_{data}$ and $R_{model}$ have, or how
# the controller sets its weights. Our reading of each stands in its module.
#
# ## Which code stands for which box
#
# The table is made by reading the sources, without importing them.

# %% tags=["live"]
structure = figures.structure()
Table(structure[["component", "module", "symbol", "state"]])

# %% [markdown]
# Notebooks use the techniques, these use training and evaluation, and those the data and the models;
# nothing below `figures` draws. What a module imports from the rest of the package:

# %% tags=["live"]
imports = figures.dependencies()
Table(imports)

# %% [markdown]
# **Check.** A box that is drawn solid must be a thing that can be imported, and one that is dashed must not
# be. The core of the system, and the control loop of the papers' diagram, must be there.

# %% tags=["hide-input"]
import importlib


def importable(row):
    """Whether the module exists and has the symbol."""
    try:
        return hasattr(importlib.import_module(row.module), row.symbol)
    except ModuleNotFoundError:
        return False


drawn_solid = structure["state"] == "in the package"
assert list(drawn_solid) == [importable(row) for row in structure.itertuples()]
assert set(structure.loc[structure["side"] == "core", "state"]) == {"in the package"}
assert {("loop", "controller"), ("controller", "data module"), ("controller", "compression module")} <= {
    edge[:2] for edge in figures.EDGES}
print("every solid box can be imported; the loop from evaluation to controller is closed")

# %% [markdown]
# ## What changes with scale
#
# Nothing: this page is about the code. It stands on no record, and the parameters above have no effect on
# it.
#
# ## Exercises
#
# 1. Which box would you add for *semi-supervised learning*, a row of the papers' tables that their diagram
#    lacks?
# 2. Give `figures.COMPONENTS` another entry, with a module of your own. When does its box become solid?
# 3. Which arrow is missing if "compression-guided data selection" is to work? Compare with the controller's
#    three principles.
