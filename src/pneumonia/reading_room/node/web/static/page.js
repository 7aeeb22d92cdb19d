// The page of the node: the queue, one image with its boxes, and files that are dropped on it.
// A box counts where its score reaches the operating point; the slider moves that here alone, and no score with it.

const $ = (id) => document.getElementById(id);
const EVERY = 1500; // milliseconds between two looks at the queue
const STATES = {
  waiting: ["Waiting", "wait"], answering: ["Sending results", "wait"], answered: ["Answered", "good"],
  refused: ["Not analysed", "bad"], failed: ["Failed", "bad"], undelivered: ["Not delivered", "bad"],
};
let last = null; // what the node said last
let chosen = ""; // the ticket of the image that is shown, or wanted
let shown = null; // what was seen of it
let own = null; // the operating point of the node
let timer = 0;

function make(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

async function ask(path, options = {}) {
  const response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  if (response.status === 401) {
    enter(false, true);
    throw new Error("logged out");
  }
  return response;
}

// --- The queue

const point = () => Number($("threshold").value);
// As the node does: the best `max_boxes` of those whose score reaches the operating point.
const counting = (scores) => scores.filter((score) => score >= point()).slice(0, last.max_boxes || scores.length).length;

const boxes = (count) => (count ? `${count} box${count > 1 ? "es" : ""}` : "no box");

function clock(seconds) {
  const day = new Date(seconds * 1000);
  const time = day.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  return day.toDateString() === new Date().toDateString() ? time : `${day.toLocaleDateString()} ${time}`;
}

function fill(line, row) {
  const [name, state, score] = line.children;
  const [text, kind] = STATES[row.state] ?? [row.state, "wait"];
  line.classList.toggle("chosen", row.ticket === chosen);
  const open = name.firstChild;
  open.setAttribute("aria-pressed", String(row.ticket === chosen));
  put(open.firstChild, row.patient || row.ticket.slice(0, 8));
  put(name.lastChild, `${row.sender === "WEB" ? "this page" : row.sender}, ${clock(row.received)}`);
  put(state.firstChild, text);
  state.firstChild.dataset.kind = kind;
  put(state.lastChild, row.reason || row.fault || "");
  put(score.firstChild, row.kept ? row.score.toFixed(2) : "");
  put(score.lastChild, row.kept ? boxes(counting(row.scores)) : "");
}

function put(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function begin(row) {
  const line = make("tr");
  line.dataset.ticket = row.ticket;
  const name = make("td"), open = make("button", undefined, "open"), state = make("td"), score = make("td", "", "number");
  open.type = "button";
  open.append(make("code"));
  name.append(open, make("small"));
  state.append(make("span", "", "state"), make("small"));
  score.append(make("b"), make("small"));
  line.append(name, state, score);
  line.addEventListener("click", () => choose(row.ticket, true));
  return line;
}

function list() {
  const body = $("rows");
  const lines = new Map([...body.children].map((line) => [line.dataset.ticket, line]));
  let place = body.firstChild;
  for (const row of last.rows) {
    const line = lines.get(row.ticket) ?? begin(row);
    lines.delete(row.ticket);
    fill(line, row);
    if (line === place) place = place.nextSibling;
    else body.insertBefore(line, place);
  }
  for (const line of lines.values()) line.remove();
  $("empty").hidden = last.rows.length > 0;
}

function health() {
  const { waiting = 0, answering = 0, answered = 0 } = last.images;
  const said = last.faults.length ? last.faults : last.notes;
  const counts = `${waiting} waiting, ${answering} being sent, ${answered} answered`;
  $("health").dataset.state = last.faults.length ? "bad" : last.notes.length ? "wait" : "good";
  put($("health"), said.length ? `${said.join(", ")} (${counts})` : counts);
}

async function look() {
  clearTimeout(timer);
  try {
    const response = await ask("/page/state");
    if (response.ok) {
      last = await response.json();
      if (last.threshold !== null && last.threshold !== own) {
        own = last.threshold;
        $("threshold").value = own;
        tell();
      }
      health();
      list();
      follow();
    }
  } catch (error) {
    if (error.message === "logged out") return;
    $("health").dataset.state = "bad";
    put($("health"), "the node does not answer");
  }
  timer = setTimeout(look, document.hidden ? EVERY * 10 : EVERY);
}

// --- One image

function follow() {
  const row = last.rows.find((each) => each.ticket === chosen);
  if (!row) return;
  put($("view-title"), `Image ${row.ticket.slice(0, 8)}`);
  $("patient").hidden = !row.patient;
  put($("patient"), row.patient);
  const [text] = STATES[row.state] ?? [row.state];
  const why = row.reason || row.fault;
  put($("reason"), row.kept ? (why ? `${text}: ${why}` : "") : why ? `${text}: ${why}` : row.state === "waiting" ? "Waiting to be read." :
    `${text}. Its picture is not kept any more.`);
  if (!row.kept) {
    shown = null;
    $("shown").hidden = true;
    put($("verdict"), "");
  } else if (!shown || shown.ticket !== chosen || shown.seen !== row.seen) {
    open(row);
  }
}

function choose(ticket, byHand) {
  if (ticket !== chosen) {
    chosen = ticket;
    shown = null;
    $("shown").hidden = true;
    put($("verdict"), "");
    history.replaceState(null, "", `#${ticket}`);
  }
  if (last) {
    list();
    follow();
  }
  if (byHand && matchMedia("(max-width: 52rem)").matches) $("view").scrollIntoView();
}

async function open(row) {
  const { ticket, seen } = row;
  shown = { ticket, seen, boxes: [], ready: false };
  const response = await ask(`/page/images/${ticket}`);
  if (!response.ok || ticket !== chosen) return;
  const found = await response.json();
  if (ticket !== chosen) return;
  shown = { ...found, ticket, seen, ready: true };
  const frame = $("frame"), ratio = found.columns / (found.rows * found.aspect);
  frame.style.aspectRatio = String(ratio);
  frame.style.maxWidth = `calc((100vh - 9rem) * ${ratio})`;
  $("picture").src = `/page/images/${ticket}/picture?${seen}`;
  $("boxes").setAttribute("viewBox", `0 0 ${found.columns} ${found.rows}`);
  $("notes").replaceChildren(...found.notes.map((note) => make("li", note)));
  $("shown").hidden = false;
  draw();
}

function draw() {
  if (!shown?.ready) return;
  const count = counting(shown.boxes.map((box) => box[4]));
  const visible = $("with-boxes").checked ? shown.boxes.slice(0, count) : [];
  $("boxes").replaceChildren(...visible.map(([x, y, width, height]) => {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, value] of Object.entries({ x, y, width, height })) rect.setAttribute(name, value);
    return rect;
  }));
  $("frame").querySelectorAll(".tag").forEach((tag) => tag.remove());
  $("frame").append(...visible.map(([x, y, , , score]) => {
    const tag = make("span", score.toFixed(2), "tag");
    tag.style.left = `${(100 * x) / shown.columns}%`;
    tag.style.top = `${(100 * y) / shown.rows}%`;
    tag.classList.toggle("inside", y / shown.rows < 0.05);
    tag.setAttribute("aria-hidden", "true");
    return tag;
  }));
  $("list").replaceChildren(...shown.boxes.slice(0, 20).map((box, i) => {
    const line = make("li", undefined, i < count ? "counts" : ""), bar = make("progress");
    bar.max = 1;
    bar.value = box[4];
    bar.setAttribute("aria-label", `Box ${i + 1}${i < count ? "" : ", below the operating point"}`);
    line.append(bar, make("span", box[4].toFixed(2)));
    return line;
  }));
  put($("score"), shown.score.toFixed(3));
  put($("count"), String(count));
  const verdict = count ? `Opacity: ${boxes(count)}` : "No opacity at this point";
  put($("verdict"), verdict);
  $("picture").alt = `Radiograph. ${verdict}, score ${shown.score.toFixed(3)}.`;
}

function tell() {
  put($("value"), point().toFixed(2));
  $("reset").disabled = own === null || Math.abs(point() - own) < 1e-9;
}

$("threshold").addEventListener("input", () => {
  tell();
  draw();
  if (last) list();
});
$("reset").addEventListener("click", () => {
  $("threshold").value = own;
  $("threshold").dispatchEvent(new Event("input"));
});
$("with-boxes").addEventListener("change", draw);
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select");
  if (event.ctrlKey || event.metaKey || event.altKey || typing || !last) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const rows = last.rows;
  if (step && rows.length && $("rows").contains(document.activeElement)) {
    const now = document.activeElement.closest("tr").dataset.ticket;
    const next = rows[rows.findIndex((row) => row.ticket === now) + step];
    if (next) {
      choose(next.ticket, false);
      $("rows").querySelector(`[data-ticket="${next.ticket}"] button`).focus();
    }
    event.preventDefault();
  }
});

// --- Files that are dropped

async function send(file, number, of) {
  // A file's name may be a person's.
  const name = last?.show_patient ? file.name : of > 1 ? `File ${number} of ${of}` : "The file";
  const line = make("li", `${name}: sending…`);
  $("drops").prepend(line);
  while ($("drops").children.length > 5) $("drops").lastChild.remove();
  try {
    const headers = { "Content-Type": "application/dicom" };
    const response = await ask("/page/images", { method: "POST", headers, body: file });
    if (response.ok) {
      const taken = await response.json();
      line.textContent = `${name}: ${taken.known ? "the node knows this image" : "in the queue"}`;
      await look();
      choose(taken.ticket, false);
    } else {
      line.className = "bad";
      line.textContent = `${name}: ${(await response.text()).trim()}`;
    }
  } catch (error) {
    line.className = "bad";
    line.textContent = `${name}: not sent`;
  }
}

async function sendAll(files) {
  for (const [i, file] of files.entries()) await send(file, i + 1, files.length); // one after the other: the queue keeps their order
}

$("file").addEventListener("change", async () => {
  const files = [...$("file").files];
  $("file").value = "";
  await sendAll(files);
});
for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) addEventListener(name, () => $("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault(); // also beside the place for it: a browser would leave the page and show the file
  if (!$("room").hidden) sendAll([...event.dataTransfer.files]);
});

// --- Who may see it

function enter(open, tokens) {
  $("login").hidden = open;
  $("room").hidden = !open;
  $("leave").hidden = !open || !tokens;
  if (open) {
    chosen = location.hash.slice(1);
    look();
  } else {
    clearTimeout(timer);
    last = shown = null;
    $("rows").replaceChildren();
    $("drops").replaceChildren();
    $("picture").removeAttribute("src");
    $("shown").hidden = true;
    put($("patient"), "");
    put($("health"), "");
    $("token").focus();
  }
}

$("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ token: $("token").value });
  const response = await fetch("/page/session", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  $("token").value = "";
  put($("login-said"), response.ok ? "" : "That is no token for this page.");
  if (response.ok) enter(true, true);
});
$("leave").addEventListener("click", async () => {
  await fetch("/page/session", { method: "DELETE" });
  enter(false, true);
});
addEventListener("hashchange", () => choose(location.hash.slice(1), false));

const session = await (await fetch("/page/session")).json();
enter(session.open, session.tokens);
