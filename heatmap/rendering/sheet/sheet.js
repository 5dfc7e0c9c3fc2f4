// The contact sheet: photos as cards, filtered by class, score, state and name.

const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);

// Cards made at once; more follow when the end of the list comes near.
const CHUNK = 120;
// Objects named on a card.
const NAMED = 4;

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const percent = (score) => `${Math.round(score * 100)}%`;
const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

function describeTotals() {
  const { done, failed, skipped } = data.counts;
  const parts = [plural(done, "photo done", "photos done")];
  if (failed) parts.push(`${failed} failed`);
  if (skipped) parts.push(plural(skipped, "other file skipped", "other files skipped"));
  at("totals").textContent = parts.join(" · ");
}

function fillClasses() {
  const photosOf = new Map();
  for (const photo of data.photos) {
    for (const name of new Set(photo.detections.map(([name]) => name))) {
      photosOf.set(name, (photosOf.get(name) ?? 0) + 1);
    }
  }
  const names = [...photosOf].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
  at("class").append(new Option("any", ""));
  for (const [name, count] of names) at("class").append(new Option(`${name} (${count})`, name));
}

// The objects of a photo that the filter asks for, surest first.
function hits(photo, wanted, least) {
  return photo.detections.filter(([name, score]) => (!wanted || name === wanted) && score >= least);
}

function matches(photo, filter) {
  if (filter.text && !photo.name.toLowerCase().includes(filter.text)) return false;
  if (filter.state === "failed") return photo.reason !== "";
  if (filter.state === "nothing") return photo.reason === "" && photo.detections.length === 0;
  const asked = filter.state === "found" || filter.wanted || filter.least > 0;
  return !asked || hits(photo, filter.wanted, filter.least).length > 0;
}

const best = (photo, filter) =>
  Math.max(-1, ...hits(photo, filter.wanted, filter.least).map(([, score]) => score));

function card(photo, filter) {
  const item = element("li", "photo");
  const frame = element(photo.page ? "a" : "div");
  if (photo.page) frame.href = photo.page;
  const picture = element("div", "picture");
  if (photo.thumbnail) {
    const image = element("img");
    image.loading = "lazy";
    image.decoding = "async";
    image.src = photo.thumbnail;
    image.alt = `Overlay of ${photo.name}`;
    picture.append(image);
  } else {
    picture.append(element("p", "broken", "no picture"));
  }
  frame.append(picture, element("p", "name", photo.name));
  item.append(frame);
  if (photo.reason) item.append(element("p", "reason", photo.reason));
  item.append(foundList(photo, filter));
  return item;
}

function foundList(photo, filter) {
  const list = element("ul", "found");
  const asked = new Set(hits(photo, filter.wanted, filter.least));
  const marked = Boolean(filter.wanted) || filter.least > 0;
  const ordered = [...photo.detections].sort((a, b) => asked.has(b) - asked.has(a));
  for (const one of ordered.slice(0, NAMED)) {
    const hit = marked && asked.has(one);
    list.append(element("li", hit ? "hit" : "", `${one[0]} ${percent(one[1])}`));
  }
  if (ordered.length > NAMED) list.append(element("li", "", `+ ${ordered.length - NAMED}`));
  if (!photo.reason && !ordered.length) list.append(element("li", "", "nothing found"));
  return list;
}

let queue = [];
let filter;

function more() {
  at("photos").append(...queue.splice(0, CHUNK).map((photo) => card(photo, filter)));
}

function show() {
  filter = {
    state: at("state").value,
    wanted: at("class").value,
    least: Number(at("score").value) / 100,
    text: at("search").value.trim().toLowerCase(),
  };
  at("score-value").textContent = percent(filter.least);
  queue = data.photos.filter((photo) => matches(photo, filter));
  if (at("order").value === "score") {
    const scores = new Map(queue.map((photo) => [photo, best(photo, filter)]));
    queue.sort((a, b) => scores.get(b) - scores.get(a));
  }
  at("shown").textContent = `${queue.length} of ${plural(data.photos.length, "photo", "photos")}`;
  at("nothing").hidden = queue.length > 0;
  at("photos").replaceChildren();
  more();
}

function watchEnd() {
  const end = element("div");
  at("photos").after(end);
  new IntersectionObserver(
    (entries) => {
      if (entries.some((entry) => entry.isIntersecting) && queue.length) more();
    },
    { rootMargin: "1200px" },
  ).observe(end);
}

describeTotals();
fillClasses();
at("filters").addEventListener("input", show);
at("filters").addEventListener("submit", (event) => event.preventDefault());
at("reset").addEventListener("click", () => {
  at("filters").reset();
  show();
});
show();
watchEnd();
