// The contact sheet: its state, and updates when the state changes.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const photos = completed(data.photos);
const classNames = data.classes;
// A browser may refuse to change the address more often.
const HASH_AFTER_MS = 250;

let written = null; // the timer that writes the address

// What reads sizes comes after this.
byId("sheet").hidden = false;

const filters = byId("filters");
let narrowed = false;
const grid = new PhotoGrid(byId("photos"), (entry) => card(entry, { classNames, narrowed }));
const classes = new ClassFilter(
  { list: byId("class-list"), search: byId("class-search"), note: byId("class-count") },
  classNames, changed);

/** The filter as the controls say. */
function filterNow() {
  return {
    show: filters.elements.show.value,
    name: byId("photo-search").value.trim(),
    conf: Number(byId("conf").value),
    classes: classes.chosen,
    order: byId("order").value,
  };
}

/** Set the controls. */
function use(filter) {
  clearTimeout(written);
  filters.elements.show.value = filter.show;
  byId("photo-search").value = filter.name;
  byId("conf").value = filter.conf;
  byId("order").value = filter.order;
  byId("class-search").value = "";
  classes.choose(filter.classes);
  show();
}

function show() {
  const filter = filterNow();
  narrowed = filter.classes.size > 0 || filter.conf > 0;
  const entries = asked(photos, filter);
  byId("conf-value").textContent = `${filter.conf}%`;
  classes.count(countClasses(photos, filter, classNames.length),
    filter.show === "guesses" ? "guess" : "object");
  describe(entries, filter);
  grid.show(entries);
}

function describe(entries, filter) {
  const shown = `${number(entries.length)} of ${plural(photos.length, "photo")}`;
  const objects = entries.reduce((sum, { photo, hits }) =>
    sum + (photo.state === "found" ? hits.length : 0), 0);
  byId("shown").textContent = objects ? `${shown}, ${plural(objects, "object")}` : shown;
  byId("close").textContent = `Show ${plural(entries.length, "photo")}`;
  byId("nothing").hidden = entries.length > 0;
  byId("reset").hidden = !hashOf({ ...filter, order: "name" }, classNames);
}

function changed() {
  show();
  clearTimeout(written);
  written = setTimeout(() => {
    // With "#" alone, an earlier filter goes.
    history.replaceState(null, "", `#${hashOf(filterNow(), classNames)}`);
  }, HASH_AFTER_MS);
}

function describeTotals() {
  const { done, failed, skipped } = data.counts;
  const parts = [`${plural(done, "photo")} done`];
  if (failed) parts.push(`${number(failed)} failed`);
  if (skipped) parts.push(`${plural(skipped, "other file")} skipped`);
  byId("totals").textContent = parts.join(" · ");
  for (const state of SHOWN) {
    const own = photos.filter((photo) => state === "all" || photo.state === state);
    byId(`count-${state}`).textContent = number(own.length);
  }
}

/** On a small screen the filters lie over the photos while they are open. */
function openFilters(open) {
  filters.classList.toggle("open", open);
  byId("toggle").setAttribute("aria-expanded", open);
  // Not the field for a name, which would call a keyboard up.
  (open ? filters.querySelector("[name=show]:checked") : byId("toggle")).focus();
}

function listen() {
  filters.addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["photo-search", "conf", "order"]) byId(id).addEventListener("input", changed);
  for (const radio of filters.elements.show) radio.addEventListener("input", changed);
  byId("reset").addEventListener("click", () => {
    use({ ...everything(), order: byId("order").value });
    changed();
  });
  byId("toggle").addEventListener("click", () => openFilters(!filters.classList.contains("open")));
  byId("close").addEventListener("click", () => openFilters(false));
  filters.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && filters.classList.contains("open")) openFilters(false);
  });
  addEventListener("hashchange", () => use(filterOf(location.hash, classNames)));
}

describeTotals();
listen();
use(filterOf(location.hash, classNames));
