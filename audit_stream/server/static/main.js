/**
 * The console: the parts are made here and learn of each other. The address is the state: a filter is
 * put into it and the page shows what it says, so Back, reload and a link sent to somebody mean the same.
 */
import { Problem, getReadiness } from "./api.js";
import { choose, chosen } from "./choices.js";
import { isLocal, useLocal } from "./clock.js";
import { Controls } from "./controls.js";
import { byId, on, plural, say, tell } from "./dom.js";
import { Facet } from "./facets.js";
import { Feed } from "./feed.js";
import { everything, format, parse } from "./filter.js";
import { LogView } from "./list.js";
import { Session } from "./session.js";
import { Status } from "./status.js";
import { Tally } from "./tally.js";
import { count } from "./text.js";
import { Trend } from "./trend.js";

const READY_EVERY_MS = 10000;
const SLEEP_AFTER_MS = 60000;
const DRAW_EVERY_MS = 100; // nobody reads faster
const WORDS = { live: "Live", connecting: "Connecting…", waiting: "Reconnecting…", refused: "Not connected", asleep: "Asleep" };

let filter = everything();
let revealed = 0;
let lost = false;

const change = (part, quiet) => go({ ...filter, ...part }, quiet);
const narrow = (part) => change({ ...part, event: 0 });
const goTo = (event) => go({ ...everything(), event });

const status = new Status({ onVerdict: () => view.render(), onContext: goTo, onProblem: problem });
const controls = new Controls(change);
const trend = new Trend((since, until) => narrow({ range: "", since, until }));
const colourOf = (kind) => trend.colourOf(kind);
const kinds = new Facet("kinds", colourOf, (chosen) => narrow({ kinds: chosen }));
const sources = new Facet("sources", () => "none", (chosen) => narrow({ sources: chosen }));
const feed = new Feed({ onChange: drawSoon, onHead: headMoved, onConnection: connectionChanged, onProblem: problem, onAlarm: alarm });
const view = new LogView({
	list: byId("log"),
	pane: byId("pane"),
	bar: byId("toolbar"),
	context: { colourOf, verdict: () => status.verdict, onFilter: narrow, onContext: goTo },
	onScroll: (atTop) => feed.hold("scrolled", !atTop),
	onNearEnd: () => feed.older(),
	onOpen: (any) => feed.hold("reading", any),
});
const counts = new Tally(showTally, problem);
const session = new Session(enter);

/** Makes the address say what the reader asked for, and then shows it. */
function go(next, quiet) {
	const address = `/${format(next)}`;
	if (quiet) history.replaceState(null, "", address);
	else if (address !== location.pathname + location.search) history.pushState(null, "", address);
	open();
}

function open() {
	filter = parse(location.search);
	tell("problem", "");
	controls.show(filter);
	reload();
	counts.ask(filter);
}

function reload() {
	revealed = 0;
	view.reset();
	feed.show(filter);
}

function enter() {
	open();
	readiness();
}

let drawing = false;
let drawnAt = 0;

function drawSoon() {
	if (drawing) return;
	drawing = true;
	setTimeout(() => requestAnimationFrame(draw), drawnAt + DRAW_EVERY_MS - performance.now());
}

function draw() {
	const { log, loading, following } = feed;
	drawing = false;
	drawnAt = performance.now();
	view.show(log.items);
	if (filter.event && !loading && revealed !== filter.event) {
		revealed = filter.event;
		view.reveal(filter.event);
	}
	byId("live").setAttribute("aria-pressed", following);
	say("live", following ? "Following" : "Paused");
	tell("fresh", following ? "" : log.heldCount ? `${count(log.heldCount)} new` : log.detached ? "To the newest" : "");
	const empty = !log.items.length;
	const first = log.oldestId === 1 ? "Event #1: the beginning of the ledger." : "No older events match.";
	tell("end", loading ? "Loading…" : log.complete && !empty ? first : "");
	byId("older").hidden = log.complete || empty || Boolean(loading);
	const nothing = feed.head.id ? "No event matches. One that does will appear here." : "No events yet. The first one will appear here.";
	tell("nothing", empty && !loading && byId("problem").hidden ? nothing : "");
}

function showTally({ stats, byKind, bySource, span }) {
	const frequent = Object.keys(byKind).sort((a, b) => byKind[b] - byKind[a]);
	if (trend.learn(frequent)) view.refresh();
	feed.sawHead(stats.last_event_id, stats.latest_hash);
	status.setStats(stats);
	kinds.show(byKind, filter.kinds);
	sources.show(bySource, filter.sources);
	trend.show(stats.over_time, span);
	const matching = Object.values(stats.by_kind).reduce((sum, n) => sum + n, 0);
	say("matching", `${count(matching)} ${plural(matching, "event")}`);
}

function headMoved() {
	status.setHead(feed.head.id);
	counts.touch();
}

function connectionChanged(phase, why) {
	if (phase === "live") {
		readiness();
		counts.touch();
	}
	if (phase === "refused") problem(why);
	if (phase === "connecting" && lost) return; // what was lost stays lost until it is live again
	lost = Boolean(why);
	byId("connection").dataset.phase = phase;
	say("connection-word", WORDS[phase]);
	document.documentElement.classList.toggle("stale", lost);
	tell("lost", why ? `Not live: ${why.message}. What is shown may be out of date.` : "");
}

function problem({ status: code, message }) {
	if (code === 401) session.check().catch(() => {});
	else if (code) tell("problem", `${message[0].toUpperCase()}${message.slice(1)}.`); // no answer at all: the connection says so
	drawSoon();
}

/** Stays until somebody has seen it. */
function alarm(text) {
	say("alarm-text", text);
	byId("alarm").hidden = false;
	status.forget();
	counts.ask(filter);
	readiness();
}

async function readiness() {
	try {
		status.setReadiness(await getReadiness());
	} catch (error) {
		if (!(error instanceof Problem)) throw error;
	}
}

on("live", "click", () => (feed.following ? feed.hold("button", true) : follow()));
on("fresh", "click", follow);
on("older", "click", () => feed.older());
on("alarm-seen", "click", () => (byId("alarm").hidden = true));

function follow() {
	if (filter.event) return narrow({});
	view.reset();
	if (!feed.resume()) reload();
}

on("zone", "click", () => {
	useLocal(!isLocal());
	showChoices();
	controls.show(filter);
	view.refresh();
	trend.refresh();
});

const { dataset } = document.documentElement;
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";
on("theme", "click", () => {
	dataset.theme = isDark() ? "light" : "dark";
	choose("theme", dataset.theme);
	repaint();
});
systemDark.addEventListener("change", repaint);
if (chosen("theme")) dataset.theme = chosen("theme");

function repaint() {
	showChoices();
	trend.refresh();
}

function showChoices() {
	say("theme", isDark() ? "Light" : "Dark");
	say("zone", isLocal() ? "Local time" : "UTC");
}

const wide = matchMedia("(min-width: 900px)");
const fitFacets = () => (byId("facets").open = wide.matches);
wide.addEventListener("change", fitFacets);

addEventListener("popstate", open);
addEventListener("online", () => feed.reconnect());

/* A hidden page gives its connection back: a browser has six for one host, in all its windows. */
let sleep = 0;
document.addEventListener("visibilitychange", () => {
	clearTimeout(sleep);
	if (!session.inside) return;
	if (!document.hidden) {
		feed.reconnect();
		return;
	}
	sleep = setTimeout(() => {
		feed.sleep();
		connectionChanged("asleep");
	}, SLEEP_AFTER_MS);
});

setInterval(() => {
	status.tick();
	view.tick();
}, 1000);
setInterval(() => {
	if (session.inside) readiness();
	if (feed.log.heldCount) say("said", `${feed.log.heldCount} new events`);
}, READY_EVERY_MS);

async function begin() {
	try {
		await session.check();
	} catch (error) {
		if (!(error instanceof Problem)) throw error;
		connectionChanged("waiting", error);
		setTimeout(begin, 3000);
	}
}

fitFacets();
showChoices();
begin();
