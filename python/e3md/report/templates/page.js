"use strict";

// The viewer is large: its script runs when it is asked for.
function openViewer() {
  const message = document.getElementById("viewer-message");
  const button = document.getElementById("open-viewer");
  button.disabled = true;
  message.textContent = "The viewer starts …";
  for (const source of document.querySelectorAll("script.viewer-script")) {
    const script = document.createElement("script");
    script.textContent = source.textContent;
    document.body.append(script);
  }
  document.getElementById("viewer").hidden = false;
  const places = { map: "viewer-map", info: "viewer-info", meta: "viewer-meta", structure: "viewer-structure" };
  const warnings = new Chemiscope.Warnings();
  warnings.addHandler((text) => { message.textContent = text; });
  const scene = JSON.parse(document.getElementById("scene").textContent);
  Chemiscope.DefaultVisualizer.load(places, scene, warnings).then(
    () => { message.textContent = ""; button.hidden = true; },
    (error) => {
      document.getElementById("viewer").hidden = true;
      message.textContent = `This browser cannot show the viewer: ${error.message}`;
    },
  );
}

document.getElementById("open-viewer")?.addEventListener("click", openViewer);

// A training writes the page anew; who looks at structures is not disturbed.
if ("live" in document.body.dataset) {
  setInterval(() => {
    const viewer = document.getElementById("viewer");
    if (!viewer || viewer.hidden) location.reload();
  }, 60000);
}
