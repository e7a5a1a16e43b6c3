"use strict";

// Everything shown comes from /models, /models/{name} and /openapi.json, and is put in as text, never as markup.

const token = document.querySelector("#token input");

function headers(more) {
  return token.value ? { ...more, Authorization: `Bearer ${token.value}` } : more;
}

async function get(path) {
  const answer = await fetch(path, { headers: headers({}) });
  if (!answer.ok) throw new Error((await answer.json()).message || answer.statusText);
  return answer.json();
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

function shown(body) {
  // One row a line reads better than one cell a line.
  return JSON.stringify(body, null, 1).replace(/\[\s+([^[\]{}]*?)\s+\]/g, (_, cells) => `[${cells.replace(/\s*\n\s*/g, " ")}]`);
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
  for (const side of ["inputs", "outputs", "params"]) {
    const rows = model.signature && model.signature[side];
    if (rows && rows.length) find(".tables").append(table(side, rows));
  }
  const body = find("textarea");
  const content = operation && operation.requestBody.content["application/json"];
  body.value = content && content.example ? shown(content.example) : '{"inputs": []}';
  find(".path").textContent = `POST /${path}`;
  const curl = () => {
    let compact = body.value;
    try { compact = JSON.stringify(JSON.parse(body.value)); } catch { /* shown as it is typed */ }
    const url = new URL(path, document.baseURI);
    find(".curl").textContent = `curl '${url}' -H 'Content-Type: application/json' \\\n     -d '${compact.replaceAll("'", "'\\''")}'`;
  };
  body.addEventListener("input", curl);
  curl();
  find("button").addEventListener("click", () => send(path, body.value, find(".answer"), find(".timing")));
  return section;
}

async function send(path, body, place, timing) {
  place.hidden = false;
  place.textContent = "…";
  try {
    const answer = await fetch(path, { method: "POST", body, headers: headers({ "Content-Type": "application/json" }) });
    place.textContent = shown(await answer.json());
    place.classList.toggle("failed", !answer.ok);
    timing.textContent = `${answer.status} · version ${answer.headers.get("x-model-version") || "?"} · ${answer.headers.get("server-timing") || ""}`;
  } catch (error) {
    place.textContent = String(error);
    place.classList.add("failed");
  }
}

async function load() {
  const main = document.querySelector("#models");
  try {
    const [list, api] = await Promise.all([get("models"), get("openapi.json")]);
    const details = await Promise.all(list.models.map((m) => get(`models/${encodeURIComponent(m.name)}`)));
    main.replaceChildren(...details.map((m) => showModel(m, (api.paths[`/models/${m.name}/invocations`] || {}).post)));
  } catch (error) {
    main.textContent = `The server says: ${error.message}`;
  }
}

token.addEventListener("change", load);
load();
