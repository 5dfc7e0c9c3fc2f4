// The search runs in a worker, which browsers start for no page that lies on disk: there it runs in
// a frame. (Its name tells the plugin "offline" not to load such a script from elsewhere.)
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.deliver = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      frame.srcdoc =
        "<script>window.postMessage = (data) => frameElement.deliver(data)</script>" +
        `<script src="${url}"></script>`;
      this.ready = new Promise((resolve) => {
        frame.addEventListener("load", () => resolve(frame.contentWindow));
      });
      document.documentElement.append(frame);
    }

    async postMessage(data) {
      const target = await this.ready;
      target.dispatchEvent(new MessageEvent("message", { data }));
    }
  };
}
