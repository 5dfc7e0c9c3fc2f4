// The photos of a batch: which of them a filter asks for, in which order, and what is counted.
// A detection or guess is a pair: the index of its class, and its confidence 0..1.

// What `show` of a filter may be: all photos, or those in one state.
const SHOWN = ["all", "found", "guesses", "nothing", "failed"];

/** What a filter asks for until anything is chosen: all photos. `conf` is in per cent. */
const everything = () => ({ show: "all", name: "", conf: 0, classes: new Set(), order: "name" });

const stateOf = ({ message, found, guesses }) =>
  message ? "failed" : found ? "found" : guesses ? "guesses" : "nothing";

/** The photos as the data has them, with what was left out because it is empty. */
function completed(photos) {
  return photos.map((photo) => ({
    found: [], guesses: [], notes: [], message: "", ...photo,
    state: stateOf(photo), lower: photo.name.toLowerCase(),
  }));
}

/** Whether a text in small letters holds all of the words, or parts of words. */
const holds = (text, words) => words.every((word) => text.includes(word));
const wordsOf = (text) => text.toLowerCase().split(/\s+/);

// Guesses count only where photos with nothing better are asked for.
const consideredIn = (photo, filter) => (filter.show === "guesses" ? photo.guesses : photo.found);

/** The detections of a photo that a filter asks for, most confident first. */
function hitsOf(photo, { classes, conf, ...filter }) {
  const considered = consideredIn(photo, filter);
  const every = classes.size === 0;
  return considered.filter(([which, confidence]) =>
    (every || classes.has(which)) && confidence * 100 >= conf);
}

// What comes first has the highest rank; equals stay sorted by name.
const RANKS = {
  name: null,
  confidence: ({ hits }) => hits[0]?.[1] ?? -1,
  objects: ({ hits }) => hits.length,
  failed: ({ photo }) => Number(photo.state === "failed"),
};

/** The photos that a filter asks for, in its order, each with its detections that count. */
function asked(photos, filter) {
  const words = wordsOf(filter.name);
  const narrowed = filter.classes.size > 0 || filter.conf > 0;
  const chosen = photos
    .filter((photo) => (filter.show === "all" || photo.state === filter.show)
      && holds(photo.lower, words))
    .map((photo) => ({ photo, hits: hitsOf(photo, filter) }))
    .filter(({ hits }) => !narrowed || hits.length > 0);
  const rank = RANKS[filter.order];
  return rank ? chosen.sort((one, other) => rank(other) - rank(one)) : chosen;
}

/** Of each class, by index: how many objects, on how many photos, that are confident enough. */
function countClasses(photos, filter, classCount) {
  const counts = Array.from({ length: classCount }, () => ({ objects: 0, photos: 0 }));
  for (const photo of photos) {
    const seen = new Set();
    for (const [which, confidence] of consideredIn(photo, filter)) {
      if (confidence * 100 < filter.conf) continue;
      counts[which].objects += 1;
      if (!seen.has(which)) counts[which].photos += 1;
      seen.add(which);
    }
  }
  return counts;
}

/** A filter as the part of a link after "#". */
function hashOf(filter, classNames) {
  const { classes, ...plain } = filter;
  const usual = everything();
  const entries = Object.entries(plain).filter(([key, value]) => value !== usual[key]);
  for (const which of classes) entries.push(["class", classNames[which]]);
  return new URLSearchParams(entries).toString();
}

/** The filter that a link asks for; what it names and is not here is ignored. */
function filterOf(hash, classNames) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const filter = everything();
  const conf = Number(given.get("conf"));
  filter.name = given.get("name") ?? "";
  filter.conf = conf >= 0 && conf <= 100 ? Math.round(conf) : 0;
  if (SHOWN.includes(given.get("show"))) filter.show = given.get("show");
  if (given.get("order") in RANKS) filter.order = given.get("order");
  for (const name of given.getAll("class")) {
    if (classNames.includes(name)) filter.classes.add(classNames.indexOf(name));
  }
  return filter;
}
