"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const grades = data.grades.map(([id, sign, name]) => ({ id, sign, name }));
  const atFirst = 6;
  const code = ["native", "jit", "partial"];
  const bySha = new Map(data.wheels.map((wheel) => [wheel.sha256, wheel]));
  /* Of one version there may be wheels for several platforms of one kind of processor. */
  const line = (wheel) => `${wheel.project} ${wheel.version} ${wheel.machine}`;
  const platform = (wheel) => wheel.file.replace(/\.whl$/, "").split("-").pop();
  const twins = new Map();
  for (const wheel of data.wheels) twins.set(line(wheel), (twins.get(line(wheel)) || 0) + 1);
  const narrow = matchMedia("(max-width: 640px)");
  const state = { gpu: "", driver: "", engine: "", machine: "", newest: false };

  /* --- what the numbers of the data stand for --- */
  const text = (number) => (number ? data.texts[number - 1] : "");
  const at = (runs, place) => {
    for (let i = 0; i < runs.length; i += 2) {
      if (place < runs[i + 1]) return runs[i];
      place -= runs[i + 1];
    }
    throw new RangeError("no such driver");
  };
  const gpuPlace = () => data.gpus.findIndex((gpu) => gpu.id === state.gpu);
  const driverPlace = () => 1 + data.drivers.findIndex(([branch]) => String(branch) === state.driver);
  const grid = (wheel, gpu) => data.grids[wheel.on[gpu]];
  const headOf = (wheel, gpu, driver) => {
    const [grade, why, score, needs] = data.heads[at(data.runs[grid(wheel, gpu)[0]], driver)];
    return { ...grades[grade], why: text(why), score, needs };
  };
  const partsOf = (wheel, gpu, driver) =>
    grid(wheel, gpu).slice(1).map((run, number) => {
      const [grade, needs, note, ...reasons] = data.cells[at(data.runs[run], driver)];
      return {
        ...grades[grade], part: wheel.parts[number], core: wheel.core.includes(number),
        needs, note: text(note), reasons: reasons.map(text),
      };
    });
  const has = (head) => code.includes(head.id);
  const title = (project) => data.titles[project] || project;

  /* --- making elements --- */
  const el = (tag, set = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(set)) {
      if (key === "class") made.className = value;
      else if (key.startsWith("data-")) made.setAttribute(key, value);
      else made[key] = value;
    }
    made.append(...inside.filter((one) => one !== null && one !== ""));
    return made;
  };
  const pill = (grade) =>
    el("span", { class: `pill ${grade.id}` }, el("span", { ariaHidden: "true" }, grade.sign), grade.name);
  const human = (bytes) => {
    const units = ["B", "KiB", "MiB", "GiB"];
    let size = bytes, unit = 0;
    while (size >= 1024 && unit < 3) { size /= 1024; unit += 1; }
    return `${size.toFixed(unit > 1 ? 1 : 0)} ${units[unit]}`;
  };
  const plural = (count, one, more = `${one}s`) => `${count} ${count === 1 ? one : more}`;

  /* --- the question --- */
  const chip = (name, value, label, small) =>
    el("label", { class: "chip" },
      el("input", { type: "radio", name, value }), label, small ? el("small", {}, small) : "");
  function ask() {
    const add = (place, rows) => {
      const lines = new Map();
      for (const [group, made] of rows) {
        if (!lines.has(group)) {
          const line = el("div", { class: "line" });
          lines.set(group, line);
          $(place).querySelector(".chips").append(el("span", { class: "group" }, group), line);
        }
        lines.get(group).append(made);
      }
    };
    add("gpus", data.gpus.map((gpu) => [gpu.group, chip("gpu", gpu.id, gpu.label)]));
    add("drivers", [
      ...[...data.drivers].reverse().map(([branch, cuda]) =>
        [`CUDA ${cuda.split(".")[0]}`, chip("driver", String(branch), String(branch), cuda)]),
      ["Not known", chip("driver", "", "any driver")],
    ]);
    for (const project of new Set(data.wheels.map((wheel) => wheel.project)))
      $("engine").append(el("option", { value: project }, title(project)));
    for (const machine of new Set([data.machine, ...data.wheels.map((w) => w.machine).filter(Boolean)]))
      $("machine").append(el("option", { value: machine }, machine));
    $("ask").addEventListener("change", (event) => {
      const { name, id, value, checked } = event.target;
      if (name) state[name] = value;
      else state[id] = id === "newest" ? checked : value;
      if (name === "gpu") state.machine = "";
      save();
      show();
      if (narrow.matches && name) ($(name === "gpu" ? "drivers" : "result")).scrollIntoView({ block: "start" });
    });
    for (const button of document.querySelectorAll(".change"))
      button.addEventListener("click", () => {
        button.closest("fieldset").classList.remove("chosen");
        button.closest("fieldset").querySelector("input:checked, input").focus();
      });
    $("reset").addEventListener("click", () => {
      Object.assign(state, { gpu: "", driver: "", engine: "", machine: "", newest: false });
      save();
      show();
      $("gpus").querySelector("input").focus();
    });
    $("ask").hidden = false;
  }
  function mark() {
    for (const name of ["gpu", "driver"]) {
      const field = $(`${name}s`);
      for (const input of field.querySelectorAll("input"))
        input.checked = input.value === state[name] && (name === "driver" ? driverGiven : Boolean(state.gpu));
      const chosen = field.querySelector("input:checked");
      field.classList.toggle("chosen", Boolean(chosen));
      field.querySelector(".change").hidden = !chosen;
      const legend = field.querySelector("legend");
      legend.replaceChildren(name === "gpu" ? "Your GPU" : "Your driver",
        chosen ? el("span", {}, `: ${labelOf(name)}`) : "");
    }
    const own = gpuPlace() < 0 ? null : data.gpus[gpuPlace()].machine;
    $("machine").value = machine();
    $("machine").disabled = Boolean(own);
    $("engine").value = state.engine;
    $("newest").checked = state.newest;
  }
  const labelOf = (name) => {
    if (name === "gpu") return data.gpus[gpuPlace()].label;
    return state.driver ? `${state.driver}, CUDA ${data.drivers[driverPlace() - 1][1]}` : "any";
  };
  const machine = () => {
    const place = gpuPlace();
    return (place >= 0 && data.gpus[place].machine) || state.machine || data.machine;
  };

  /* --- the link --- */
  let driverGiven = false;
  function save() {
    driverGiven = driverGiven || state.driver !== "" || Boolean($("drivers").querySelector("input:checked"));
    if (!state.gpu && !state.driver) driverGiven = Boolean($("drivers").querySelector("input:checked")) && Boolean(state.gpu);
    const words = new URLSearchParams();
    for (const key of ["gpu", "driver", "engine", "machine"]) if (state[key]) words.set(key, state[key]);
    if (driverGiven && !state.driver) words.set("driver", "any");
    if (state.newest) words.set("newest", "1");
    const hash = words.toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }
  function load() {
    const words = new URLSearchParams(location.hash.slice(1));
    const known = (value, values) => (values.includes(value) ? value : "");
    state.gpu = known(words.get("gpu"), data.gpus.map((gpu) => gpu.id));
    state.driver = known(words.get("driver"), data.drivers.map(([branch]) => String(branch)));
    driverGiven = state.driver !== "" || words.get("driver") === "any";
    state.engine = known(words.get("engine"), data.wheels.map((wheel) => wheel.project));
    state.machine = known(words.get("machine"), data.wheels.map((wheel) => wheel.machine));
    state.newest = words.get("newest") === "1";
  }

  /* --- the answer --- */
  function groups(gpu, driver) {
    const found = new Map();
    for (const wheel of data.wheels) {
      if (state.engine && wheel.project !== state.engine) continue;
      if (state.newest && !wheel.newest) continue;
      if (wheel.machine && wheel.machine !== machine()) continue;
      if (!found.has(wheel.project)) found.set(wheel.project, []);
      found.get(wheel.project).push({ wheel, head: headOf(wheel, gpu, driver) });
    }
    for (const rows of found.values()) rows.sort((a, b) => b.head.score - a.head.score);
    const runs = ([, [first]]) => Number(has(first.head));
    return new Map([...found].sort((a, b) => runs(b) - runs(a)));
  }
  function show() {
    mark();
    const gpu = gpuPlace(), driver = driverPlace(), result = $("result");
    result.hidden = gpu < 0;
    for (const row of document.querySelectorAll(".overview tbody tr:not(.project)"))
      row.hidden = state.newest && !row.classList.contains("newest");
    for (const body of document.querySelectorAll(".overview tbody"))
      body.hidden = Boolean(state.engine) && body.dataset.project !== state.engine;
    if (gpu < 0) return;
    const found = groups(gpu, driver), name = data.gpus[gpu].label;
    const words = state.driver ? `${name} with driver ${state.driver}` : `${name}, driver not stated`;
    result.replaceChildren(
      el("h2", {}, words), summary(found, name, driver), hint(found, gpu, driver),
      ...[...found].map(([project, rows]) => engine(project, rows, gpu, driver)), left(gpu),
    );
  }
  function summary(found, name, driver) {
    const rows = [...found.values()].flat(), able = rows.filter((row) => has(row.head));
    const best = [...found].map(([project, [first]]) => [project, first]).filter(([, first]) => has(first.head));
    const line = el("p", { class: "verdict-line" });
    const cuda = driver ? ` (up to CUDA ${data.drivers[driver - 1][1]})` : "";
    line.append(able.length
      ? `${able.length} of ${plural(rows.length, "wheel")} ${able.length === 1 ? "has" : "have"} code that this GPU ${driver ? "and driver run" : "runs"}${cuda}. Best of each: `
      : `None of ${plural(rows.length, "wheel")} has code that this GPU ${driver ? "and driver run" : "runs"}${cuda}.`);
    best.forEach(([project, { wheel }], number) => line.append(
      number ? ", " : "", el("strong", {}, `${title(project)} ${wheel.version}`)));
    if (best.length) line.append(".");
    return line;
  }
  /* The oldest newer driver with which some project has a version that does more. */
  function hint(found, gpu, driver) {
    if (!driver) return "";
    for (let newer = driver + 1; newer <= data.drivers.length; newer += 1) {
      const better = [];
      for (const [project, rows] of found) {
        const [top] = rows.map(({ wheel }) => ({ wheel, head: headOf(wheel, gpu, newer) }))
          .sort((a, b) => b.head.score - a.head.score);
        if (top.head.score > rows[0].head.score) better.push(`${title(project)} ${top.wheel.version}`);
      }
      if (better.length) {
        const [branch, cuda] = data.drivers[newer - 1];
        return el("p", { class: "hint" },
          el("strong", {}, `Driver ${branch}`), ` (CUDA ${cuda}) would do more: ${better.join(", ")}.`);
      }
    }
    return "";
  }
  function engine(project, rows, gpu, driver) {
    const able = rows.filter((row) => has(row.head)).length;
    const head = el("h3", {}, title(project),
      el("small", {}, `${able} of ${plural(rows.length, "wheel")} ${driver ? "with this driver" : "with a new enough driver"}`));
    const made = rows.map((row, number) =>
      wheelRow(row, gpu, driver, number === 0 && has(row.head) && rows.length > 1));
    const list = el("div", { class: "wheels" }, ...made.slice(0, atFirst));
    if (made.length > atFirst) {
      const more = el("button", { type: "button", class: "more" }, `show all ${made.length} wheels`);
      more.addEventListener("click", () => {
        more.replaceWith(...made.slice(atFirst));
        made[atFirst].firstChild.focus();
      });
      list.append(more);
    }
    return el("div", { class: "engine", "data-project": project }, head, list);
  }
  function wheelRow({ wheel, head }, gpu, driver, best) {
    const version = el("span", { class: "version" }, wheel.version, twins.get(line(wheel)) > 1 ? el("small", {}, platform(wheel)) : "",
      best ? el("span", { class: "tag" }, "best here") : wheel.newest ? el("span", { class: "tag" }, "newest") : "");
    const row = el("details", {
      class: best ? "wheel best" : "wheel", "data-sha256": wheel.sha256, "data-grade": head.id, "data-version": wheel.version,
    }, el("summary", {}, version, el("span", { class: "grade" }, pill(head)),
      el("span", { class: "why" }, head.why), el("span", { class: "driver" }, driverWords(head, driver))));
    row.addEventListener("toggle", () => {
      if (row.open && row.children.length === 1) row.append(detail(wheel, gpu, driver));
    });
    return row;
  }
  function driverWords({ needs }, driver) {
    if (!needs) return "";
    const enough = driver && data.drivers[driver - 1][0] >= needs;
    return enough ? "" : `takes driver ${needs}`;
  }
  function detail(wheel, gpu, driver) {
    const parts = partsOf(wheel, gpu, driver);
    const unused = parts.filter((part) => part.id === "not-applicable");
    const order = ["missing", "partial", "unknown", "jit", "native"];
    const used = parts.filter((part) => part.id !== "not-applicable")
      .sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
    const kind = wheel.kind === "features" ? "feature" : "library";
    const made = el("div", { class: "detail" });
    if (used.length)
      made.append(el("table", { class: "parts" },
        el("thead", {}, el("tr", {}, ...[kind, "verdict", "why"].map((word) => el("th", { scope: "col" }, word)))),
        el("tbody", {}, ...used.map((part) => partRow(part, driver)))));
    if (unused.length)
      made.append(el("p", { class: "unused" }, "Not used on this GPU: ",
        ...unused.flatMap((part, number) => [number ? ", " : "",
          el("span", { "data-part": part.part, "data-grade": part.id, title: part.reasons.join("; ") }, part.part)]), "."));
    made.append(factsOf(wheel, gpu, driver));
    return made;
  }
  function partRow(part, driver) {
    const lines = part.reasons.map((reason) => el("li", {}, reason));
    const needs = driverWords(part, driver);
    if (needs) lines.push(el("li", {}, part.id === "missing" ? `driver ${part.needs} would do` : needs));
    if (part.note) lines.push(el("li", { class: "note" }, part.note));
    return el("tr", { "data-part": part.part, "data-grade": part.id },
      el("th", { scope: "row" }, part.part, part.core ? el("span", { class: "tag" }, "core") : ""),
      el("td", {}, pill(part)), el("td", {}, lines.length ? el("ul", {}, ...lines) : ""));
  }
  function factsOf(wheel, gpu, driver) {
    const list = el("dl", { class: "facts" });
    const add = (term, ...inside) => list.append(el("dt", {}, term), el("dd", {}, ...inside));
    if (wheel.requires.length)
      add("requires", ...wheel.requires.flatMap(([requirement, sha], number) => {
        const other = bySha.get(sha);
        return [number ? "; " : "", `${requirement}: `,
          other ? pill(headOf(other, gpu, driver)) : "not in this map, so not checked"];
      }));
    add("file", `${wheel.file}, ${human(wheel.size)}`);
    add("sha256", el("code", {}, wheel.sha256));
    add("read", `${wheel.read}, from the machine code${wheel.whole ? "" : "; some of the file could not be read"}`);
    const words = ["sartor inspect", `${wheel.project}==${wheel.version}`, `--gpu ${data.gpus[gpu].id}`];
    if (driver) words.push(`--driver ${data.drivers[driver - 1][0]}`);
    add("ask again", el("code", {}, words.join(" ")));
    return list;
  }
  function left(gpu) {
    const other = data.wheels.filter((wheel) => wheel.machine && wheel.machine !== machine()).length;
    const own = data.gpus[gpu].machine;
    if (!other) return "";
    return el("p", { class: "left" }, own
      ? `${plural(other, "wheel")} for other processors left out: this GPU stands beside ${own} alone.`
      : `${plural(other, "wheel")} for other processors left out; “Processor” above shows them.`);
  }

  addEventListener("hashchange", () => { load(); show(); });
  ask();
  load();
  show();
})();
