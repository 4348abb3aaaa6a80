"use strict";

/* The page "The model in your browser". Nothing is loaded until the button is pressed; then the runtime and the chosen
   model come as scripts (see book/_ext/in_browser.py), so that the page works from a disk as well. */
const inBrowserFolder = new URL(".", document.currentScript.src).href;

function loadScript(name) {
  if (globalThis.inBrowser?.[name]) return Promise.resolve(inBrowser[name]);
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${inBrowserFolder}${name}.js`;
    script.onload = () => { script.remove(); resolve(inBrowser[name]); };
    script.onerror = () => { script.remove(); reject(new Error(`${name}.js did not load.`)); };
    document.head.append(script);
  });
}

/* Base64 of gzip -> Uint8Array. */
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/* Why this browser cannot run a model, or "". */
function lacking() {
  if (typeof WebAssembly === "undefined") {
    return "WebAssembly is missing or switched off in this browser, so no model can run in it. "
      + "A current Firefox, Chrome, Edge or Safari has it, unless a lockdown mode is on.";
  }
  if (typeof DecompressionStream === "undefined") return "This browser is too old to unpack the model: please update it.";
  return "";
}

/* ONNX Runtime, started once. The module is imported from memory, because a page on a disk may import no file. */
let runtimeStarted = null;
function startRuntime() {
  runtimeStarted ??= (async () => {
    const { module, wasm } = await loadScript("runtime");
    const address = URL.createObjectURL(new Blob([module], { type: "text/javascript" }));
    const ort = await import(address);
    Object.assign(ort.env.wasm, { wasmBinary: await unpack(wasm), numThreads: 1 });
    ort.env.logLevel = "error";
    return ort;
  })();
  runtimeStarted.catch(() => { runtimeStarted = null; });
  return runtimeStarted;
}

class Classifier {
  /* The model called `name`, ready to answer. */
  static async load(name) {
    const ort = await startRuntime(), spec = await loadScript(name);
    const made = new Classifier();
    Object.assign(made, { name, ort, labels: spec.labels, bytes: spec.bytes });
    made.tokenizer = new Tokenizer(spec.tokenizer, spec.maxLength);
    made.session = await ort.InferenceSession.create(await unpack(spec.network));
    delete spec.network;  // the session has its own copy
    await made.classify("", "");  // the first answer takes longer than the others
    return made;
  }

  /* {probabilities, tokens, cut, milliseconds} for one pair. */
  async classify(premise, hypothesis) {
    const began = performance.now();
    const { ids, segments, cut } = this.tokenizer.encode(premise, hypothesis);
    const row = (values) => new this.ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
    const feeds = { input_ids: row(ids), attention_mask: row(ids.map(() => 1)), token_type_ids: row(segments) };
    const outputs = await this.session.run(
      Object.fromEntries(this.session.inputNames.map((name) => [name, feeds[name]])));
    const logits = [...outputs[this.session.outputNames[0]].data], top = Math.max(...logits);
    const odds = logits.map((value) => Math.exp(value - top)), sum = odds.reduce((a, b) => a + b);
    const probabilities = odds.map((value) => value / sum);
    return { probabilities, tokens: ids.length, cut, milliseconds: performance.now() - began };
  }
}

const classifiers = {};  // by name, promises
function classifier(name) {
  classifiers[name] ??= Classifier.load(name);
  classifiers[name].catch(() => { delete classifiers[name]; });
  return classifiers[name];
}

/* -- the form ----------------------------------------------------------------------------------------------------- */

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const percent = (share) => `${(100 * share).toFixed(1)}%`;

function startPage(root) {
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const { models, runtime } = inBrowser.models;
  const ready = new Set();
  let asked = 0, wait = 0;

  const say = (text, wrong = false) => {
    part("message").textContent = text;
    part("message").classList.toggle("wrong", wrong);
  };
  const chosen = () => models.find((model) => model.name === root.querySelector("input[name=model]:checked").value);

  models.forEach(({ name, bytes, accuracy }, number) => {
    const radio = Object.assign(document.createElement("input"),
      { type: "radio", name: "model", value: name, checked: !number });
    const label = document.createElement("label"), known = document.createElement("small");
    known.textContent = megabytes(bytes) + (accuracy ? `, right in ${percent(accuracy)} of MNLI (matched)` : "");
    label.append(radio, ` ${name} `, known);
    part("models").append(label);
    radio.addEventListener("change", () => { offer(); answer(); });
  });

  /* The button says what a press costs; it goes where the model is there already. */
  function offer() {
    const { name, download } = chosen();
    part("load").hidden = ready.has(name);
    part("load").textContent =
      `Load ${name} (${megabytes(download + (ready.size ? 0 : runtime))})`;
    part("result").hidden = true;
    say(ready.has(name) ? "" : "Nothing is loaded yet.");
  }

  async function load() {
    const { name } = chosen(), focused = document.activeElement === part("load");
    part("load").disabled = true;  // which takes the focus from it
    say(`Loading ${name} …`);
    try {
      await classifier(name);
      ready.add(name);
      if (focused) part("premise").focus();
    } catch (error) {
      say(`${name} could not be started. ${error.message}`, true);
      return;
    } finally {
      part("load").disabled = false;
      if (focused && !ready.has(name)) part("load").focus();
    }
    offer();
    answer();
  }

  /* Answers for what stands in the boxes; an answer that a later question has overtaken is not shown. */
  async function answer() {
    const { name, bytes } = chosen(), turn = ++asked;
    const [premise, hypothesis] = [part("premise").value, part("hypothesis").value];
    if (!ready.has(name)) return;
    if (!premise.trim() || !hypothesis.trim()) {
      part("result").hidden = true;
      say("Write two sentences, or pick an example.");
      return;
    }
    try {
      const model = await classifier(name), found = await model.classify(premise, hypothesis);
      if (turn === asked) show(model, found, bytes);
    } catch (error) {
      if (turn === asked) say(`${name} could not answer. ${error.message}`, true);
    }
  }

  function show({ name, labels }, { probabilities, tokens, cut, milliseconds }, bytes) {
    const best = probabilities.indexOf(Math.max(...probabilities));
    part("bars").replaceChildren(...labels.map((label, i) => {
      const row = document.createElement("tr"), head = document.createElement("th");
      head.scope = "row";
      head.textContent = label;
      const bar = document.createElement("td"), fill = document.createElement("span");
      fill.style.width = percent(probabilities[i]);
      bar.className = "bar";
      bar.setAttribute("aria-hidden", "true");
      bar.append(fill);
      const number = document.createElement("td");
      number.textContent = percent(probabilities[i]);
      row.append(head, bar, number);
      row.classList.toggle("best", i === best);
      return row;
    }));
    part("result").hidden = false;
    say(`${name} says: ${labels[best]}, ${percent(probabilities[best])}.`);
    part("cost").textContent = `${milliseconds.toFixed(1)} ms for ${tokens} tokens; the network has `
      + `${bytes.toLocaleString("en").replaceAll(",", "\u00a0")} bytes.`
      + (cut ? " The texts were too long: the longer one was cut." : "");
  }

  function soon() {
    part("example").value = "";  // your own
    clearTimeout(wait);
    wait = setTimeout(answer, 200);
  }

  part("load").addEventListener("click", load);
  root.addEventListener("submit", (event) => event.preventDefault());
  for (const name of ["premise", "hypothesis"]) part(name).addEventListener("input", soon);
  part("example").addEventListener("change", () => {
    if (!part("example").value) return;
    const [premise, hypothesis] = part("example").value.split("|");
    part("premise").value = premise;
    part("hypothesis").value = hypothesis;
    answer();
  });
  root.hidden = false;
  offer();
  if (lacking()) {
    part("load").disabled = true;
    say(lacking(), true);
  }
}

{
  const root = document.getElementById("in-browser");
  loadScript("models").then(() => startPage(root)).catch((error) => {
    root.hidden = false;
    root.querySelectorAll("input, textarea, select, button").forEach((field) => { field.disabled = true; });
    const message = root.querySelector('[data-part="message"]');
    message.textContent = `The page is not whole. ${error.message}`;
    message.classList.add("wrong");
  });
}
