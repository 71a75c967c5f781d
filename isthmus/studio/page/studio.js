// The studio's page. The server holds the draft; this script shows it, sends edits, and asks for plans.
"use strict";

const $ = (id) => document.getElementById(id);
const CLASSES = ["public", "internal", "confidential", "restricted"];
const BUDGET_STEPS = 100;
let schema = null;
let draft = null;
let answer = null; // the last plan
let keptCost = null;
let budgetTop = 100000; // USD at the right end of the slider, where there is no limit
let showing = "plan";
let asked = 0;
let timer = 0;

// Talking to the server

async function call(path, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The studio does not answer. Is `isthmus studio` still running?");
  }
  const content = response.headers.get("content-type")?.includes("json") ? await response.json() : { error: await response.text() };
  if (response.status === 409) return null;
  if (!response.ok) throw new Error([content.where, content.error, content.fix && `Fix: ${content.fix}.`].filter(Boolean).join(": ").replace(": Fix", ". Fix"));
  return content;
}

function alertUser(text) {
  $("alert").textContent = text;
  $("alert").hidden = !text;
}

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    alertUser(error.message);
  }
}

async function edit(body) {
  await attempt(async () => {
    show(await call("edit", body));
    alertUser("");
    later();
  });
  if (draft) show(draft); // after a refusal, fields show the draft again
}

const question = () => ({ scale: scale(), blueprint: $("blueprint").value, explain: $("explain").checked });
const scale = () => Number((2 ** Number($("load").value)).toPrecision(6));

function later() {
  clearTimeout(timer);
  timer = setTimeout(ask, 200);
}

async function ask() {
  const number = ++asked;
  const began = Date.now();
  const ticker = setInterval(async () => {
    if (Date.now() - began < 1500) return;
    try {
      const progress = await call("progress");
      if (number === asked) $("status").textContent = `Planning: ${progress.doing || "waiting"}, ${Math.round((Date.now() - began) / 1000)} s …`;
    } catch { /* the request itself reports it */ }
  }, 500);
  if (draft && draft.mistakes.length) {
    clearInterval(ticker);
    $("status").textContent = "The requirements have mistakes; the plan is of the last correct state.";
    showMistakes(draft.mistakes);
    return;
  }
  $("status").textContent = "Planning …";
  await attempt(async () => {
    // The sentence is always of the present draft; the report is of what is shown.
    for (const view of showing === "plan" ? ["plan"] : ["plan", "compare"]) {
      const outcome = await call(view, question());
      if (outcome === null || number !== asked) return;
      showAnswer(view, outcome, ((Date.now() - began) / 1000).toFixed(1));
    }
    alertUser("");
  });
  clearInterval(ticker);
  if (number === asked && $("status").textContent.startsWith("Planning")) $("status").textContent = "No plan was made.";
}

// Showing

const usd = (value) => value === null || value === undefined ? "no cost" : `${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })} USD a month`;

function showAnswer(view, outcome, seconds) {
  if (view === showing) $("status").textContent = view === "plan" ? `Planned in ${seconds} s.` : `Compared in ${seconds} s.`;
  if (view === "plan") {
    answer = outcome;
    $("sentence").textContent = outcome.sentence || "There is no plan: see what is wrong below.";
    $("save-plan").disabled = !outcome.buildable;
    $("difference").textContent = keptCost !== null && outcome.monthly_usd !== null ? difference(outcome.monthly_usd - keptCost) : "";
    if (outcome.monthly_usd > budgetTop / 2) { budgetTop = round(outcome.monthly_usd * 3); showBudget(); }
  }
  showMistakes(outcome.mistakes);
  list("notes", outcome.notes, (note) => [note]);
  if (outcome.page && view === showing) {
    $("report").src = `page/${outcome.page}`;
    $("report").title = view === "plan" ? "Plan" : "The kept plan and this one side by side";
  }
}

const difference = (change) => Math.abs(change) < 0.005 ? "It costs the same as the kept plan." : `${usd(Math.abs(change))} ${change > 0 ? "more" : "less"} than the kept plan.`;
const round = (value) => { const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1); return Math.ceil(value / unit) * unit; };

function list(id, items, parts) {
  $(id).replaceChildren(...items.map((item) => {
    const row = document.createElement("li");
    row.append(...parts(item));
    return row;
  }));
}

function showMistakes(mistakes) {
  list("mistakes", mistakes, (mistake) => {
    const place = document.createElement(fieldAt(mistake.path) ? "a" : "b");
    if (place.tagName === "A") {
      place.href = `#${fieldAt(mistake.path).id}`;
      place.addEventListener("click", (event) => { event.preventDefault(); reveal(fieldAt(mistake.path)); });
    }
    place.textContent = mistake.path || (mistake.line ? `line ${mistake.line}` : "requirements");
    return [place, `: ${mistake.what}. ${mistake.fix ? `Fix: ${mistake.fix.replace(/\.$/, "")}.` : ""}`];
  });
  for (const field of document.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  for (const mistake of mistakes) fieldAt(mistake.path)?.setAttribute("aria-invalid", "true");
}

// The field of a path, or of the nearest part above it that has one.
function fieldAt(path) {
  for (let place = path; place; place = place.replace(/(\.[^.\[\]]*|\[[^\]]*\])$/, "")) {
    const field = document.querySelector(`[data-dotted="${CSS.escape(place)}"]`);
    if (field) return field;
    if (!/[.\[]/.test(place)) return null;
  }
  return null;
}

function reveal(field) {
  for (let up = field; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  field.focus();
  field.scrollIntoView({ block: "center" });
}

function show(state) {
  draft = state;
  $("file").textContent = state.file + (state.changed ? " (changed)" : "");
  document.title = `${state.changed ? "• " : ""}${state.file}: Isthmus studio`;
  $("undo").disabled = !state.undo;
  $("redo").disabled = !state.redo;
  $("save").disabled = !state.changed;
  if (document.activeElement !== $("text")) $("text").value = state.text;
  $("show-compare").disabled = state.kept === null;
  if (state.data === null) {
    $("raw").open = true;
  } else {
    showSliders(state.data);
    showWorkloads(state.data.workloads);
    showForm(state.data);
  }
  showMistakes(state.mistakes);
}

function showSliders(data) {
  const headroom = data.planning?.headroom ?? schema.$defs.Planning.properties.headroom.default;
  $("headroom").value = headroom;
  $("headroom-value").textContent = `${Math.round(headroom * 100)} %`;
  showBudget();
  const factor = scale();
  $("load-value").textContent = factor === 1 ? "as stated" : `${Number(factor.toPrecision(3))} times`;
}

function showBudget() {
  const limit = draft.data?.budget?.monthly_usd ?? null;
  if (limit !== null && limit > budgetTop) budgetTop = round(limit * 1.5);
  $("budget").value = limit === null ? BUDGET_STEPS : Math.min(BUDGET_STEPS - 1, Math.max(1, Math.round(limit / budgetTop * BUDGET_STEPS)));
  $("budget-value").textContent = limit === null ? "no limit" : Number(limit).toLocaleString("en-US");
  $("budget").setAttribute("aria-valuetext", $("budget-value").textContent);
}

function showWorkloads(workloads) {
  const focused = document.activeElement?.id;
  const rows = (Array.isArray(workloads) ? workloads : []).map((workload, index) => {
    const row = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = workload?.name ?? `workload ${index + 1}`;
    const classes = document.createElement("select");
    classes.id = `class-${index}`;
    classes.setAttribute("aria-label", `Class of ${name.textContent}`);
    for (const option of CLASSES) classes.add(new Option(option, option, false, option === workload?.sensitivity));
    classes.addEventListener("change", () => edit({ do: "set", path: ["workloads", index, "sensitivity"], value: classes.value }));
    const residency = document.createElement("input");
    residency.id = `residency-${index}`;
    residency.setAttribute("aria-label", `Residency of ${name.textContent}, separated by commas`);
    residency.value = (workload?.residency ?? []).join(", ");
    residency.placeholder = "anywhere";
    residency.addEventListener("change", () => {
      const places = residency.value.split(",").map((place) => place.trim()).filter(Boolean);
      if (places.length) edit({ do: "set", path: ["workloads", index, "residency"], value: places });
      else if (workload?.residency) edit({ do: "remove", path: ["workloads", index, "residency"] });
    });
    row.append(name, cell(classes), cell(residency));
    return row;
  });
  $("workloads").tBodies[0].replaceChildren(...rows);
  if (focused) $(focused)?.focus();
}

function cell(content) {
  const box = document.createElement("td");
  box.append(content);
  return box;
}

// The form: every property of the schema, with its description

const seed = { open: new Set(["form-workloads"]) };

function showForm(data) {
  const focused = document.activeElement?.id;
  const rows = Object.entries(schema.properties).map(([key, part]) => property([key], key, part, data[key], data, schema.required?.includes(key)));
  $("form").replaceChildren(...rows);
  if (focused && !$(focused)?.isEqualNode(document.activeElement)) $(focused)?.focus();
}

// A schema without references and without the null that an optional value may have.
function resolve(part, value) {
  for (;;) {
    if (part.$ref) {
      part = { ...schema.$defs[part.$ref.split("/").pop()], ...without(part, "$ref") };
    } else if (part.allOf?.length === 1) {
      part = { ...part.allOf[0], ...without(part, "allOf") };
    } else if (part.anyOf || part.oneOf) {
      const branches = (part.anyOf ?? part.oneOf).filter((branch) => branch.type !== "null").map((branch) => resolve(branch, value));
      const chosen = branches.find((branch) => fits(branch, value)) ?? branches[0];
      part = { ...chosen, ...without(part, "anyOf", "oneOf", "discriminator") };
    } else {
      return part;
    }
  }
}

const without = (part, ...keys) => Object.fromEntries(Object.entries(part).filter(([key]) => !keys.includes(key)));

function fits(branch, value) {
  if (value === undefined || value === null) return false;
  if (Array.isArray(value)) return branch.type === "array";
  if (typeof value === "object") return branch.type === "object" && (branch.properties?.kind?.const ?? value.kind) === value.kind;
  return branch.type !== "object" && branch.type !== "array";
}

const idOf = (path) => `form-${path.join("-").replace(/[^A-Za-z0-9_-]/g, "_")}`;

function property(path, dotted, part, value, parent, required) {
  const kind = resolve(part, value);
  const key = path[path.length - 1];
  const isPart = kind.type === "object" && kind.properties;
  const isList = kind.type === "array" && resolve(kind.items ?? {}, undefined).type === "object";
  if (isPart && value !== undefined && value !== null && typeof value === "object") return group(path, dotted, key, kind, value, required);
  if (isPart) return absent(path, key, kind, required);
  if (isList) return items(path, dotted, key, kind, value);
  return field(path, dotted, key, kind, value, required, parent);
}

function folded(path, title, kind) {
  const box = document.createElement("details");
  box.id = idOf(path);
  box.open = seed.open.has(box.id);
  box.addEventListener("toggle", () => box.open ? seed.open.add(box.id) : seed.open.delete(box.id));
  const summary = document.createElement("summary");
  summary.textContent = title;
  box.append(summary);
  if (kind.description) {
    const help = document.createElement("p");
    help.className = "help";
    help.textContent = kind.description;
    box.append(help);
  }
  return box;
}

function group(path, dotted, title, kind, value, required) {
  const box = folded(path, title, kind);
  fill(box, path, dotted, kind, value);
  if (!required) box.append(button(`Remove ${title}`, () => edit({ do: "remove", path })));
  return box;
}

function fill(box, path, dotted, kind, value) {
  for (const [key, part] of Object.entries(kind.properties)) {
    box.append(property([...path, key], `${dotted}.${key}`, part, value[key], value, kind.required?.includes(key)));
  }
}

function absent(path, key, kind, required) {
  const row = document.createElement("p");
  row.className = "absent";
  row.append(button(`Add ${key}`, () => { seed.open.add(idOf(path)); edit({ do: "set", path, value: example(kind, true) }); }));
  if (kind.description) row.append(" ", kind.description);
  if (required) row.append(" Required.");
  return row;
}

function items(path, dotted, title, kind, value) {
  const list = Array.isArray(value) ? value : [];
  const box = folded(path, `${title} (${list.length})`, kind);
  list.forEach((item, index) => {
    const inner = [...path, index];
    const name = item?.name ?? item?.id;
    const part = resolve(kind.items, item);
    const row = folded(inner, String(name ?? item?.gpu ?? item?.workload ?? `${title} ${index + 1}`), part);
    if (part.properties && item && typeof item === "object") fill(row, inner, `${dotted}[${typeof name === "string" ? name : index}]`, part, item);
    row.append(button(`Remove this one`, () => edit({ do: "remove", path: inner })));
    box.append(row);
  });
  for (const [word, branch] of choices(kind.items)) {
    box.append(button(`Add to ${title}${word}`, () => {
      seed.open.add(idOf(path));
      seed.open.add(idOf([...path, list.length]));
      edit({ do: "add", path, value: example(branch, true) });
    }));
  }
  return box;
}

// Kinds of items to add: one, or one for each branch that states its kind.
function choices(part) {
  const branches = (part.oneOf ?? part.anyOf ?? [part]).map((branch) => resolve(branch, undefined));
  return branches.map((branch) => [branches.length > 1 ? `: ${branch.properties?.kind?.const ?? "other"}` : "", branch]);
}

// A value to begin with: the required keys, from examples of the schema.
function example(part, whole) {
  const kind = resolve(part, undefined);
  if (kind.const !== undefined) return kind.const;
  if (kind.type === "object" && kind.properties) {
    const keys = (kind.required ?? []).filter((key) => kind.properties[key]);
    return Object.fromEntries(keys.map((key) => [key, example(kind.properties[key], false)]));
  }
  if (!whole && kind.examples?.length) return kind.examples[0];
  if (kind.type === "array") return kind.minItems ? [example(kind.items, false)] : [];
  if (kind.enum) return kind.enum[0];
  if (kind.examples?.length) return kind.examples[0];
  return { number: 1, integer: 1, string: "", boolean: false }[kind.type] ?? {};
}

function field(path, dotted, key, kind, value, required) {
  const row = document.createElement("div");
  row.className = "field";
  const id = idOf(path);
  const label = document.createElement("label");
  label.htmlFor = id;
  label.textContent = key + (required ? " *" : "");
  const input = control(kind, value);
  input.id = id;
  input.dataset.dotted = dotted;
  if (required) input.required = true;
  input.addEventListener("change", () => send(path, kind, input, value, required));
  row.append(label, input);
  if (kind.description) {
    const help = document.createElement("p");
    help.className = "help";
    help.id = `${id}-help`;
    help.textContent = kind.description;
    input.setAttribute("aria-describedby", help.id);
    row.append(help);
  }
  return row;
}

function control(kind, value) {
  const options = kind.enum ?? (kind.type === "boolean" ? [true, false] : kind.const !== undefined ? [kind.const] : null);
  if (options && !Array.isArray(value)) {
    const select = document.createElement("select");
    select.add(new Option(kind.default !== undefined && kind.default !== null ? `default: ${kind.default}` : "not set", "", false, value === undefined || value === null));
    for (const option of options) select.add(new Option(String(option), JSON.stringify(option), false, option === value));
    return select;
  }
  const input = document.createElement("input");
  if (kind.type === "number" || kind.type === "integer") {
    input.type = "number";
    input.step = kind.type === "integer" ? "1" : "any";
  } else {
    input.type = "text";
  }
  if (kind.default !== undefined && kind.default !== null && typeof kind.default !== "object") input.placeholder = `default: ${kind.default}`;
  input.value = value === undefined || value === null ? "" : typeof value === "object" ? inline(value) : String(value);
  return input;
}

// A list or a map on one line, as YAML reads it.
function inline(value) {
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  if (value && typeof value === "object") return `{${Object.entries(value).map(([key, inner]) => `${inline(key)}: ${inline(inner)}`).join(", ")}}`;
  if (typeof value !== "string") return String(value);
  return /^[A-Za-z][A-Za-z0-9_.\/-]*$/.test(value) && !["true", "false", "null"].includes(value) ? value : JSON.stringify(value);
}

function send(path, kind, input, before, required) {
  const text = input.value.trim();
  if (text === "") {
    if (before !== undefined && !required) edit({ do: "remove", path });
    else if (before !== undefined) edit({ do: "set", path, value: "" });
    return;
  }
  if (input.tagName === "SELECT") edit({ do: "set", path, value: JSON.parse(text) });
  else if (input.type === "number") edit({ do: "set", path, value: Number(text) });
  else if (kind.type === "string") edit({ do: "set", path, value: text });
  else edit({ do: "set", path, yaml: text });
}

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
}

// Buttons and sliders

function listen() {
  $("undo").addEventListener("click", () => edit({ do: "undo" }));
  $("redo").addEventListener("click", () => edit({ do: "redo" }));
  $("apply").addEventListener("click", () => edit({ do: "text", text: $("text").value }));
  $("save").addEventListener("click", () => save(false));
  $("save-plan").addEventListener("click", () => save(true));
  $("load").addEventListener("input", () => { showSliders(draft.data ?? {}); later(); });
  $("headroom").addEventListener("input", () => { $("headroom-value").textContent = `${Math.round($("headroom").value * 100)} %`; });
  $("headroom").addEventListener("change", () => edit({ do: "set", path: ["planning", "headroom"], value: Number($("headroom").value) }));
  $("budget").addEventListener("input", () => { $("budget-value").textContent = chosenBudget() === null ? "no limit" : chosenBudget().toLocaleString("en-US"); });
  $("budget").addEventListener("change", () => {
    const limit = chosenBudget();
    if (limit !== null) edit({ do: "set", path: ["budget", "monthly_usd"], value: limit });
    else if (draft.data?.budget) edit({ do: "remove", path: ["budget"] });
  });
  $("blueprint").addEventListener("change", later);
  $("explain").addEventListener("change", later);
  $("keep").addEventListener("click", () => attempt(async () => {
    show(await call("keep", question()));
    keptCost = answer?.monthly_usd ?? null;
    $("difference").textContent = "This plan is kept. Change something, and see what that costs.";
  }));
  $("show-plan").addEventListener("click", () => choose("plan"));
  $("show-compare").addEventListener("click", () => choose("compare"));
  addEventListener("beforeunload", (event) => { if (draft?.changed) event.preventDefault(); });
}

const chosenBudget = () => Number($("budget").value) >= BUDGET_STEPS ? null : Math.max(1, Math.round(Number($("budget").value) / BUDGET_STEPS * budgetTop));

function choose(view) {
  showing = view;
  $("show-plan").setAttribute("aria-pressed", String(view === "plan"));
  $("show-compare").setAttribute("aria-pressed", String(view === "compare"));
  ask();
}

async function save(plan) {
  await attempt(async () => {
    const state = await call("save", { ...question(), plan });
    show(state);
    alertUser("");
    $("status").textContent = state.written.length ? `Saved: ${state.written.join(" and ")}.` : "Nothing changed since it was saved.";
  });
  if (!$("alert").hidden && $("alert").textContent.includes("changed by somebody else")) {
    $("alert").append(" ", button("Load the file again", () => edit({ do: "load" })));
  }
}

async function begin() {
  await attempt(async () => {
    const known = await call("schema");
    schema = known.schema;
    for (const name of known.blueprints) $("blueprint").add(new Option(name, name));
    listen();
    show(await call("draft"));
    await ask();
  });
}

begin();
