/**
 * The console: every part is made here, once, and here they learn of each other.
 *
 * The address is the state: a filter is put into it, and the page shows what the address says, so
 * Back, reload and a link sent to somebody else all mean the same. No other module navigates.
 */
import { Problem, getReadiness } from "./api.js";
import { isLocal, useLocal } from "./clock.js";
import { Colours } from "./colours.js";
import { Controls } from "./controls.js";
import { byId, plural, say } from "./dom.js";
import { Facet } from "./facets.js";
import { Feed } from "./feed.js";
import { Figures } from "./figures.js";
import { everything, format, parse } from "./filter.js";
import { LogView } from "./list.js";
import { Session } from "./session.js";
import { Status } from "./status.js";
import { Tally } from "./tally.js";
import { count, plain, visible } from "./text.js";
import { setUpTheme } from "./theme.js";
import { Trend } from "./trend.js";

const READY_EVERY_MS = 10000;
const SLEEP_AFTER_MS = 60000;
// Rows that come faster are drawn together: nobody reads more than ten changes a second.
const DRAW_EVERY_MS = 100;

let filter = everything();
let tally = null;
let revealed = 0;

const colours = new Colours();
const figures = new Figures();
const status = new Status({
  onVerdict: () => view.render(),
  onContext: (id) => go({ ...everything(), event: id }),
  onProblem: problem,
});
const controls = new Controls((change, how) => go({ ...filter, ...change }, how));
const kinds = new Facet({
  list: byId("kinds"),
  more: byId("more-kinds"),
  colourOf: (kind) => colours.of(kind),
  onChoose: (chosen) => go({ ...filter, kinds: chosen, event: 0 }),
});
const sources = new Facet({
  list: byId("sources"),
  more: byId("more-sources"),
  onChoose: (chosen) => go({ ...filter, sources: chosen, event: 0 }),
});
const trend = new Trend({
  figure: byId("trend"),
  plot: byId("plot"),
  legend: byId("legend"),
  caption: byId("trend-caption"),
  colours,
  onSpan: (since, until) => go({ ...filter, range: "", since, until, event: 0 }),
});
const feed = new Feed({
  onChange: drawSoon,
  onHead: () => {
    status.setHead(feed.head.id);
    figures.sawHead(feed.head.id);
    counts.touch();
  },
  onConnection: showConnection,
  onProblem: problem,
  onAlarm: alarm,
});
const view = new LogView({
  list: byId("log"),
  pane: byId("pane"),
  bar: byId("toolbar"),
  context: {
    colours,
    verified: () => status.verified,
    onFilter: (change) => go({ ...filter, ...change, event: 0 }),
    onContext: (id) => go({ ...everything(), event: id }),
  },
  onScroll: (atTop) => feed.hold("scrolled", !atTop),
  onNearEnd: () => feed.older(),
  onOpen: (any) => feed.hold("reading", any),
});
const counts = new Tally({ onTally: showTally, onProblem: quietProblem });
const session = new Session({ onIn: enter, onOut: leave });

/** Makes the address say what the reader asked for, and then shows it. */
function go(next, { quiet = false } = {}) {
  const address = `/${format(next)}`;
  if (address === location.pathname + location.search && !quiet) return refreshView();
  if (quiet) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  return open();
}

function open() {
  filter = parse(location.search);
  clearProblem();
  controls.show(filter);
  refreshView();
  counts.ask(filter);
}

async function refreshView() {
  revealed = 0;
  view.clear();
  await feed.show(filter);
}

function enter() {
  byId("room").focus();
  open();
  readiness();
}

function leave() {
  feed.stop();
  counts.stop();
  view.clear();
  view.show([]);
}

/* What is drawn. */

let drawnAt = 0;
let drawing = 0;

function drawSoon() {
  if (drawing) return;
  const wait = Math.max(0, DRAW_EVERY_MS - (performance.now() - drawnAt));
  drawing = setTimeout(() => requestAnimationFrame(draw), wait);
}

function draw() {
  drawing = 0;
  drawnAt = performance.now();
  const { log, loading } = feed;
  view.show(log.items, { keep: feed.grewAbove });
  feed.grewAbove = false;
  if (filter.event && !loading && revealed !== filter.event && log.items.length) {
    revealed = filter.event;
    view.reveal(filter.event);
  }
  showToolbar();
}

function showToolbar() {
  const { log, loading, following } = feed;
  const held = log.heldCount;
  const live = byId("live");
  live.setAttribute("aria-pressed", String(following));
  say(live, following ? "Following" : "Paused");
  live.title = following ? "Pause: new events are counted, the list stands still" : "Follow new events again";
  const fresh = byId("fresh");
  fresh.hidden = following || (held === 0 && !log.detached);
  say(fresh, held ? `${count(held)} new` : "To the newest");
  byId("newer").hidden = !log.detached || filter.event === 0;
  byId("newer").disabled = loading === "newer";
  say(byId("end"), endOf(log, loading));
  byId("older").hidden = log.complete || !log.items.length || loading === "first";
  byId("older").disabled = loading === "older";
  const empty = !log.items.length && loading !== "first";
  byId("nothing").hidden = !empty || !byId("problem").hidden;
  say(
    byId("nothing"),
    feed.head.id ? "No event matches. One that does will appear here." : "No events yet. The first one will appear here.",
  );
}

function endOf(log, loading) {
  if (loading === "first" || loading === "older") return "Loading…";
  if (!log.complete || !log.items.length) return "";
  return log.oldestId === 1 ? "Event #1: the beginning of the ledger." : "No older events match.";
}

function showTally(found) {
  tally = found;
  clearProblem("counts");
  const byKind = Object.entries(found.byKind).sort((a, b) => b[1] - a[1]);
  if (colours.learn(byKind.map(([kind]) => kind))) view.refresh();
  feed.sawHead(found.stats.last_event_id, found.stats.latest_hash);
  figures.show(found.stats);
  kinds.show(found.byKind, filter.kinds);
  sources.show(found.bySource, filter.sources);
  trend.show(found.stats.over_time, found.span);
  const matching = sum(found.stats.by_kind);
  say(byId("matching"), `${count(matching)} ${plural(matching, "event")}`);
}

const sum = (numbers) => Object.values(numbers).reduce((total, n) => total + n, 0);

function showConnection(state) {
  const line = byId("connection");
  line.dataset.phase = state.phase;
  connection = state;
  describeConnection();
  if (state.phase === "live") {
    clearProblem("connection");
    readiness();
    counts.touch();
  }
  if (state.phase === "refused") {
    if (state.status === 401) session.check().catch(() => {});
    else problem(new Problem(state.status, state.why));
  }
}

let connection = { phase: "connecting" };

function describeConnection() {
  const { phase, why, retryAt } = connection;
  const seconds = retryAt ? Math.max(0, Math.ceil((retryAt - Date.now()) / 1000)) : 0;
  const words = {
    live: "Live",
    connecting: "Connecting…",
    waiting: `Reconnecting in ${seconds} s`,
    refused: "Not connected",
    asleep: "Asleep",
  };
  say(byId("connection-word"), words[phase] ?? phase);
  byId("connection").title = why ? `${why[0].toUpperCase()}${why.slice(1)}.` : "";
  byId("retry").hidden = phase !== "waiting";
  const lost = byId("lost");
  lost.hidden = phase !== "waiting" && phase !== "refused";
  say(lost, lost.hidden ? "" : `Not live: ${why}. What is shown may be out of date.`);
  document.documentElement.classList.toggle("stale", !lost.hidden);
}

/* What goes wrong. */

function problem(error) {
  if (error.status === 401) {
    session.check().catch(() => {});
    return;
  }
  const box = byId("problem");
  box.replaceChildren(visible(sentence(error.message)));
  box.hidden = false;
  drawSoon();
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

/** The counts are asked for again anyway, and a lost connection is said elsewhere. */
function quietProblem(error) {
  if (!(error instanceof Problem)) throw error;
  if (error.status !== 0 && error.status < 500) problem(error);
}

function clearProblem() {
  byId("problem").hidden = true;
}

/** Stays until somebody has seen it. */
function alarm(text) {
  byId("alarm-text").replaceChildren(visible(text));
  byId("alarm").hidden = false;
  status.forget();
  readiness();
}

async function readiness() {
  try {
    status.setReadiness(await getReadiness());
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
  }
}

/* What the reader does. */

byId("live").addEventListener("click", () => {
  if (feed.following) feed.hold("button", true);
  else follow();
});
byId("fresh").addEventListener("click", follow);
byId("newer").addEventListener("click", () => feed.newer());
byId("older").addEventListener("click", () => feed.older());
byId("retry").addEventListener("click", () => feed.reconnect());
byId("alarm-seen").addEventListener("click", () => (byId("alarm").hidden = true));
byId("zone").addEventListener("click", () => {
  useLocal(!isLocal());
  showZone();
  controls.show(filter);
  view.refresh();
  trend.refresh();
});
byId("facets-toggle").addEventListener("click", () => {
  const open = byId("facets").classList.toggle("open");
  byId("facets-toggle").setAttribute("aria-expanded", String(open));
});

function follow() {
  if (filter.event) {
    go({ ...filter, event: 0 });
    return;
  }
  view.clear();
  if (!feed.resume()) refreshView();
}

function showZone() {
  say(byId("zone"), isLocal() ? "Local time" : "UTC");
  byId("zone").title = isLocal() ? "Show times in UTC" : "Show times in local time";
}

addEventListener("popstate", open);
addEventListener("online", () => feed.reconnect());

/* A hidden page gives its connection back: a browser has six for one host, in all its windows. */
let sleepTimer = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(sleepTimer);
  if (document.hidden) {
    sleepTimer = setTimeout(() => {
      feed.sleep();
      showConnection({ phase: "asleep" });
    }, SLEEP_AFTER_MS);
  } else if (session.inside) {
    if (connection.phase !== "live") feed.reconnect();
    counts.touch();
  }
});

setInterval(() => {
  status.tick();
  figures.tick();
  view.tick();
  if (connection.phase === "waiting") describeConnection();
}, 1000);
setInterval(() => session.inside && readiness(), READY_EVERY_MS);

setUpTheme(() => trend.refresh());
showZone();

async function begin() {
  try {
    await session.check();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    problem(error);
    setTimeout(begin, 3000);
  }
}
begin();
