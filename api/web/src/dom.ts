/** Elements from plain values: text is always text, never markup. */

type Child = Node | string | null | false | undefined;
type Props = Record<string, string | boolean | number | EventListener | null | undefined>;

/** `on…` props are listeners, booleans are attributes that are there or not, the rest are attributes. */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, String(value));
  }
  element.append(...kept(children));
  return element;
}

export function fill(parent: Element, ...children: Child[]): void {
  parent.replaceChildren(...kept(children));
}

function kept(children: Child[]): (Node | string)[] {
  return children.filter(
    (child): child is Node | string => child !== null && child !== false && child !== undefined,
  );
}

const SVG = "http://www.w3.org/2000/svg";

/** Our own drawings, on a grid of 24, in the colour of the text around them. */
const ICONS = {
  microphone: "M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3",
  muted:
    "M15 9.5V6a3 3 0 0 0-5.7-1.3M9 9v3a3 3 0 0 0 4.6 2.5M5.5 11.5A6.5 6.5 0 0 0 16 16.6m2-2.6a6.4 6.4 0 0 0 .5-2.5M12 18v3M4 4l16 16",
  hangUp:
    "M3.5 14.5c0-6 17-6 17 0v1.2a1 1 0 0 1-1.2 1l-3-.7a1 1 0 0 1-.8-.8l-.4-2a9.5 9.5 0 0 0-6.2 0l-.4 2a1 1 0 0 1-.8.8l-3 .7a1 1 0 0 1-1.2-1z",
  send: "M5 12h13M12.5 5.5 19 12l-6.500 6.500",
  back: "M19 12H6M11.500 5.500 5 12l6.500 6.500",
  keyboard:
    "M4 6.500h16a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1v-9a1 1 0 0 1 1-1zM7 10.500h0M10.300 10.500h0M13.700 10.500h0M17 10.500h0M8 14h8",
  chat: "M5 5h14a1.500 1.500 0 0 1 1.500 1.500v9A1.500 1.500 0 0 1 19 17h-7l-4.500 3.500V17H5a1.500 1.500 0 0 1-1.500-1.500v-9A1.500 1.500 0 0 1 5 5z",
  close: "M6 6l12 12M18 6 6 18",
} as const;

export function icon(name: keyof typeof ICONS): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}
