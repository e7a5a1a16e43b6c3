"use strict";

// Everything shown comes from /models, /models/{name} and /openapi.json, and is put in as text, never as markup.

// What to type or write elsewhere for the same request, by the title that it is shown under. `url` and `body` are texts,
// `locked` is whether the server asks for a token, which is never written out.
const RECIPES = {
  "From a terminal": (url, body, locked) =>
    `curl '${url}' -H 'Content-Type: application/json' \\\n` +
    (locked ? '     -H "Authorization: Bearer $PENSTOCK_API_TOKEN" \\\n' : "") +
    `     -d '${body.replaceAll("'", "'\\''")}'`,
  "Python, with requests": (url, body, locked) =>
    (locked ? "import os\n\n" : "") +
    `import requests\n\nanswer = requests.post(\n    ${JSON.stringify(url)},\n` +
    `    data=${pythonText(body)}.encode(),\n` +
    "    headers={\n" +
    '        "Content-Type": "application/json",\n' +
    (locked ? `        "Authorization": f"Bearer {os.environ['PENSTOCK_API_TOKEN']}",\n` : "") +
    "    },\n    timeout=30,\n)\nanswer.raise_for_status()\nprint(answer.json())",
  "JavaScript, with fetch": (url, body, locked) =>
    `const answer = await fetch(${JSON.stringify(url)}, {\n  method: "POST",\n  headers: {\n` +
    '    "Content-Type": "application/json",\n' +
    (locked ? "    Authorization: `Bearer ${token}`,\n" : "") +
    `  },\n  body: JSON.stringify(${body}),\n});\n` +
    "if (!answer.ok) throw new Error(await answer.text());\nconsole.log(await answer.json());",
};

// A body as Python writes a text: as it is between single quotes, where it has none; else in JSON's own form, which is
// Python's, too.
function pythonText(body) { return /['\\\n]/.test(body) ? JSON.stringify(body) : `'${body}'`; }

const form = document.querySelector("#token");
const forget = document.querySelector("#forget");
const main = document.querySelector("#models");

// The token, for as long as this tab is open; where a browser keeps nothing, for as long as the page is.
const token = {
  value: "",
  read() { try { this.value = sessionStorage.getItem("penstock-token") || ""; } catch { /* nothing is kept */ } },
  set(value) {
    this.value = value;
    try { sessionStorage.setItem("penstock-token", value); } catch { /* nothing is kept */ }
  },
};

class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

function headers(more) {
  return token.value ? { ...more, Authorization: `Bearer ${token.value}` } : more;
}

async function get(path) {
  const answer = await fetch(path, { headers: headers({}) });
  const text = await answer.text();
  if (answer.ok) return JSON.parse(text);
  throw new Refused(answer.status, said(text) || answer.statusText);
}

function said(text) {
  try { return JSON.parse(text).message; } catch { return text.slice(0, 200); }
}

function table(title, rows) {
  const element = document.createElement("table");
  element.createCaption().textContent = title;
  const keys = Object.keys(rows[0]);
  const head = element.createTHead().insertRow();
  for (const key of keys) head.appendChild(document.createElement("th")).textContent = key;
  for (const row of rows) {
    const line = element.insertRow();
    for (const key of keys) {
      const value = row[key];
      line.insertCell().textContent = value === null ? (key === "name" ? "(unnamed)" : "") : Array.isArray(value) ? `[${value.join(", ")}]` : String(value);
    }
  }
  return element;
}

// One row a line reads better than one cell a line. A text is JSON with words that JSON does not know, as it is.
function shown(body) {
  if (typeof body === "string") return body;
  return JSON.stringify(body, null, 1).replace(/\[\s+([^[\]{}]*?)\s+\]/g, (_, cells) => `[${cells.replace(/\s*\n\s*/g, " ")}]`);
}

// The same on one line, and otherwise as it was typed: blanks go, but for those inside texts.
function compact(text) {
  return text.replace(/("(?:[^"\\]|\\.)*")|\s+/g, "$1");
}

function tell(place, text) {
  place.textContent = text;
  place.hidden = !text;
}

function showModel(model, operation) {
  const section = document.querySelector("#model").content.cloneNode(true).querySelector("section");
  const find = (selector) => section.querySelector(selector);
  const path = `models/${encodeURIComponent(model.name)}/invocations`;
  find("h2").textContent = model.name;
  const current = model.versions[0];
  find(".facts").textContent = current
    ? `version ${current.version}${model.alias ? ` (${model.alias})` : ""}, ${current.flavor}, digest ${current.digest.slice(0, 12)}`
    : "not loaded yet";
  tell(find(".problem"), (operation && operation.description) || "");
  for (const side of ["inputs", "outputs", "params"]) {
    const rows = model.signature && model.signature[side];
    if (rows && rows.length) find(".tables").append(table(side, rows));
  }
  const body = find("textarea");
  const content = operation && operation.requestBody.content["application/json"];
  body.value = content && content.example !== undefined ? shown(content.example) : '{"inputs": []}';
  find(".path").textContent = `POST /${path}`;
  body.addEventListener("input", showRecipes(find(".recipes"), new URL(path, document.baseURI), body));
  find("button").addEventListener("click", () => send(path, body.value, find(".answer"), find(".timing")));
  return section;
}

// Copies a text, where the browser lets the page; selects it, where it does not.
function copyButton(text) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    } catch {
      getSelection().selectAllChildren(text);
    }
  });
  return button;
}

// Adds every recipe; returns what shows them anew, when the body has changed.
function showRecipes(place, url, body) {
  const texts = Object.entries(RECIPES).map(([title, recipe]) => {
    const heading = place.appendChild(document.createElement("h3"));
    heading.textContent = title;
    const text = place.appendChild(document.createElement("pre"));
    heading.appendChild(copyButton(text));
    return [text, recipe];
  });
  const show = () => {
    for (const [text, recipe] of texts) text.textContent = recipe(url, compact(body.value), Boolean(token.value));
  };
  show();
  return show;
}

function showBroken(name, error) {
  const section = document.createElement("section");
  section.appendChild(document.createElement("h2")).textContent = name;
  const problem = section.appendChild(document.createElement("p"));
  problem.className = "problem";
  problem.textContent = `This model cannot be shown: ${error.message}`;
  return section;
}

async function send(path, body, place, timing) {
  place.hidden = false;
  place.textContent = "…";
  try {
    const answer = await fetch(path, { method: "POST", body, headers: headers({ "Content-Type": "application/json" }) });
    const text = await answer.text();
    try { place.textContent = shown(JSON.parse(text)); } catch { place.textContent = text; }
    place.classList.toggle("failed", !answer.ok);
    timing.textContent = `${answer.status} · version ${answer.headers.get("x-model-version") || "?"} · ${answer.headers.get("server-timing") || ""}`;
  } catch (error) {
    place.textContent = String(error);
    place.classList.add("failed");
  }
}

function ask(error) {
  const given = token.value !== "";
  token.set("");
  main.replaceChildren();
  forget.hidden = true;
  form.hidden = false;
  const why = error.status === 403 ? `This token may not list the models: ${error.message}` : "The server does not know this token.";
  tell(form.querySelector(".problem"), given ? why : "");
  form.querySelector("input").focus();
}

async function load() {
  let list, api;
  try {
    list = await get("models");
    api = await get("openapi.json").catch((error) => ({ paths: {}, error }));
  } catch (error) {
    if (error.status === 401 || error.status === 403) ask(error);
    else main.textContent = `The server says: ${error.message}`;
    return;
  }
  form.hidden = true;
  forget.hidden = !token.value;
  const sections = list.models.map(async ({ name }) => {
    try {
      const model = await get(`models/${encodeURIComponent(name)}`);
      return showModel(model, (api.paths[`/models/${name}/invocations`] || {}).post);
    } catch (error) {
      return showBroken(name, error);
    }
  });
  main.replaceChildren(...(await Promise.all(sections)));
  if (!list.models.length) main.textContent = "No model is served yet.";
  if (api.error) main.prepend(`Without examples: openapi.json says: ${api.error.message}`);
}

// A plain link carries no token.
async function open(event) {
  if (!token.value) return;
  event.preventDefault();
  const tab = window.open("");
  const answer = await fetch(event.target.href, { headers: headers({}) });
  tab.location = URL.createObjectURL(new Blob([await answer.text()], { type: "text/plain" }));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(form.querySelector("input").value.trim());
  form.querySelector("input").value = "";
  load();
});
forget.addEventListener("click", () => { token.set(""); load(); });
for (const link of document.querySelectorAll("a.asks")) link.addEventListener("click", open);
token.read();
load();
