// The page of a study while it goes on: asks how it goes, and exchanges what is new.
"use strict";

const POLL_MS = 2000;
const colours = matchMedia("(prefers-color-scheme: dark)");
const shown = new Map(); // of each kind of picture: its figure, its view, and of which run it is
const find = (id) => document.getElementById(id);
let version = "";
let read = null; // when the directory was read, by the clock of this page
let asked = 0; // pictures that were asked for, and those that were drawn
let drawn = 0;
let drawing = false;
Bokeh.set_log_level("error");

async function ask(what) {
  const answer = await fetch(what);
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return answer.json();
}

async function look() {
  let state;
  try {
    state = await ask(`state?version=${version}`);
  } catch (error) {
    say("trouble", `pytams serve does not answer any more (${error.message}). What is here is what it said last.`);
    return;
  }
  read = performance.now() - 1000 * state.age;
  say("words", state.words);
  say("trouble", state.error);
  find("going_on").innerHTML = state.going_on;
  tick();
  if (String(state.version) === version) return;
  version = String(state.version);
  document.title = state.title;
  find("top").innerHTML = state.top;
  find("bottom").innerHTML = state.bottom;
  find("study").hidden = !state.top;
  find("pictures").hidden = !state.kinds.length;
  offer(state.kinds, state.runs);
  draw();
}

function say(id, text) {
  const element = find(id);
  if (element.textContent !== text) element.textContent = text; // or it would be read aloud again
  element.hidden = !text;
}

function tick() {
  if (read !== null) find("age").textContent = `as of ${Math.round((performance.now() - read) / 1000)} s ago`;
}

const boxes = () => [...document.getElementsByName("kind")];

function offer(kinds, runs) {
  for (const box of boxes()) {
    box.disabled = box.parentElement.hidden = !kinds.includes(box.value);
  }
  const select = find("run");
  const options = [["all", "all runs"], ...runs];
  for (const [i, [value, text]] of options.entries()) {
    const option = select.options[i] ?? select.appendChild(document.createElement("option"));
    if (option.value !== value || option.text !== text) Object.assign(option, { value, text });
  }
  select.length = options.length;
}

async function draw() {
  asked += 1;
  if (drawing) return;
  drawing = true;
  while (drawn !== asked) {
    drawn = asked;
    for (const box of boxes()) {
      const wanted = box.checked && !box.disabled;
      find(`figure-${box.value}`).hidden = !wanted;
      if (!wanted) {
        clear(box.value);
        continue;
      }
      try {
        await show(box.value, find("run").value);
      } catch (error) {
        find(`note-${box.value}`).textContent = error.message;
      }
    }
  }
  drawing = false;
}

async function show(kind, run) {
  const answer = await ask(`picture?kind=${kind}&run=${run}`);
  find(`note-${kind}`).textContent = answer.why ?? answer.note;
  const old = shown.get(kind);
  if (!answer.item) {
    clear(kind);
  } else if (!old || old.run !== run || !exchange(old.figure, answer.item)) {
    clear(kind);
    const view = await Bokeh.embed.embed_item(answer.item, `picture-${kind}`);
    const figure = view.roots[0].model;
    shown.set(kind, { run, view, figure });
    paint(figure);
  }
}

function clear(kind) {
  shown.get(kind)?.view.clear();
  shown.delete(kind);
  find(`picture-${kind}`).replaceChildren();
}

// Put new data into a figure, and leave its ranges alone; false if it is drawn otherwise.
function exchange(figure, item) {
  const fresh = figure.document.constructor.from_json(item.doc).roots()[0];
  if (String(fresh.tags) !== String(figure.tags)) return false;
  if (fresh.renderers.length !== figure.renderers.length) return false;
  for (const [i, renderer] of fresh.renderers.entries()) {
    figure.renderers[i].data_source.data = renderer.data_source.data;
  }
  return true;
}

function paint(figure) {
  const style = getComputedStyle(document.documentElement);
  const [text, line] = ["--text", "--line"].map((name) => style.getPropertyValue(name).trim());
  for (const part of [figure.above, figure.below, figure.left, figure.center].flat()) {
    for (const name of ["axis_label_text_color", "major_label_text_color", "label_text_color"]) {
      if (name in part.properties) part[name] = text;
    }
    for (const name of ["axis_line_color", "major_tick_line_color", "minor_tick_line_color", "grid_line_color"]) {
      if (name in part.properties) part[name] = name === "grid_line_color" ? line : text;
    }
  }
}

colours.addEventListener("change", () => shown.forEach(({ figure }) => paint(figure)));
document.addEventListener("change", draw);
setInterval(tick, 1000);

(async () => {
  for (;;) {
    if (!document.hidden) await look();
    await new Promise((go) => setTimeout(go, POLL_MS));
  }
})();
