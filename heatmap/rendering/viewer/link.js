// What the page shows, in its address: a link restores it.

// Browsers refuse to change the address many times a second.
const LINK_DELAY_MS = 250;

class Link {
  /** `told` gives what is shown as [name, value] pairs; `restore` takes it as a Map. */
  constructor({ told, restore }) {
    Object.assign(this, { told, restore, timer: 0 });
    window.addEventListener("hashchange", () => this.follow());
  }

  /** Show what the address says. */
  follow() {
    this.restore(new Map(new URLSearchParams(location.hash.slice(1))));
  }

  changed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.write(), LINK_DELAY_MS);
  }

  write() {
    const hash = new URLSearchParams(this.told()).toString();
    if (hash === location.hash.slice(1)) return;
    try {
      history.replaceState(null, "", `#${hash}`);
    } catch {
      // A page inside another one, as in a notebook, has no address of its own.
    }
  }
}
