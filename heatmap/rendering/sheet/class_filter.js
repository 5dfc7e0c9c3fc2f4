// The classes of all photos with their counts: a check box each.

class ClassFilter {
  constructor({ list, search, note }, classNames, changed) {
    Object.assign(this, { list, search, note, chosen: new Set() });
    this.rows = classNames.map((name, which) => this.row(name, which, changed));
    list.append(...this.rows.map(({ label }) => label));
    search.addEventListener("input", () => this.filter());
  }

  row(name, which, changed) {
    const input = element("input");
    input.type = "checkbox";
    input.addEventListener("change", () => {
      if (input.checked) this.chosen.add(which);
      else this.chosen.delete(which);
      changed();
    });
    const objects = element("span", "count");
    const photos = element("span", "count");
    const title = element("span", "class-name", name);
    title.title = name;
    const label = element("label", "class", input, title, objects, photos);
    return { input, label, objects, photos, name, lower: name.toLowerCase() };
  }

  choose(classes) {
    this.chosen = new Set(classes);
    this.rows.forEach(({ input }, which) => { input.checked = this.chosen.has(which); });
  }

  /** Say how many objects of each class there are, on how many photos; `word` is for one. */
  count(counts, word) {
    this.counts = counts;
    this.rows.forEach(({ input, objects, photos, name }, which) => {
      const own = counts[which];
      objects.textContent = number(own.objects);
      photos.textContent = number(own.photos);
      input.ariaLabel = `${name}: ${plural(own.objects, word)} on ${plural(own.photos, "photo")}`;
    });
    this.filter();
  }

  /** List those with objects whose names hold all words; the chosen ones always. */
  filter() {
    const words = wordsOf(this.search.value);
    let [listed, all] = [0, 0];
    this.rows.forEach(({ label, lower }, which) => {
      const there = this.counts[which].objects > 0;
      label.hidden = !this.chosen.has(which) && !(there && holds(lower, words));
      listed += !label.hidden;
      all += there || this.chosen.has(which);
    });
    this.note.textContent = listed === all ? number(all) : `${number(listed)} of ${number(all)}`;
  }
}
