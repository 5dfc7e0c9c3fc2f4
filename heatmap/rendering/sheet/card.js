// A photo on the sheet. All text is set as text, never as markup.

// Classes named on a card.
const NAMED = 4;

function element(tag, className = "", ...content) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...content);
  return node;
}

const percent = (confidence) => `${Math.round(confidence * 100)}%`;
const number = (count) => count.toLocaleString("en");
const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;

/** A photo that a filter asks for, as a list item; `hits` are marked if that is less than all. */
function card({ photo, hits }, { classNames, narrowed }) {
  const item = element("li", `photo ${photo.state}`, pictureOf(photo), nameOf(photo));
  if (photo.state === "failed") item.append(element("p", "badge", "failed"));
  else item.append(detectionList(photo, narrowed ? hits : [], classNames));
  if (photo.notes.length) {
    const note = element("p", "note", photo.notes.join("; "));
    note.title = photo.notes.join("\n");
    item.append(note);
  }
  return item;
}

/** The thumbnail, or why there is none. */
function pictureOf(photo) {
  const picture = element("div", "picture");
  if (photo.state === "failed") picture.append(element("p", "message", photo.message));
  else if (photo.thumbnail) picture.append(thumbnail(photo));
  else picture.append(element("p", "soft", "no picture"));
  return picture;
}

function thumbnail({ at, thumbnail: suffix }) {
  const image = element("img");
  // The list below it says what it shows.
  Object.assign(image, { loading: "lazy", decoding: "async", alt: "", src: `${at}${suffix}` });
  image.addEventListener("error", () =>
    image.replaceWith(element("p", "soft", "its picture is missing")));
  return image;
}

/** The name, which is cut where there is no room, first its folder; links to page or picture. */
function nameOf({ name, at, page }) {
  const end = name.lastIndexOf("/", name.length - 2) + 1;
  const link = element("a", "name",
    element("span", "folder", name.slice(0, end)), element("span", "file", name.slice(end)));
  link.title = name;
  if (page) link.href = `${at}${page}`;
  // The arrow keys go to each photo.
  else link.tabIndex = 0;
  return link;
}

/** What was found, each class once: how often, and how surely at most. */
function detectionList({ state, found, guesses }, hits, classNames) {
  const guessed = state === "guesses";
  const list = element("ul", "detections");
  if (guessed) list.append(element("li", "badge", "only guesses"));
  if (state === "nothing") list.append(element("li", "", "nothing found"));
  const classes = new Map();
  for (const detection of [...hits, ...(guessed ? guesses : found)]) {
    const [which, confidence] = detection;
    const own = classes.get(which) ?? { best: confidence, hit: hits.includes(detection), all: new Set() };
    classes.set(which, own);
    own.all.add(detection);
  }
  for (const [which, { best, hit, all }] of [...classes].slice(0, NAMED)) {
    const often = all.size > 1 ? ` × ${all.size}` : "";
    const text = `${classNames[which]}${often} ${percent(best)}${guessed ? "?" : ""}`;
    list.append(element("li", hit ? "hit" : "", text));
  }
  if (classes.size > NAMED) list.append(element("li", "", `+ ${classes.size - NAMED}`));
  return list;
}
