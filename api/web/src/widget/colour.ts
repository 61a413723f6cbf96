/** Which colour is read on another. */

/** Any colour that CSS knows as `#rrggbb`, without what shows through; black for what is none. */
export function plain(colour: string): string {
  const pen = document.createElement("canvas").getContext("2d");
  if (!pen) return "#000000";
  pen.fillStyle = colour;
  const known = String(pen.fillStyle);
  if (known.startsWith("#")) return known;
  const parts = known.match(/[\d.]+/g)?.slice(0, 3) ?? [];
  return `#${parts.map((part) => Number(part).toString(16).padStart(2, "0")).join("")}`;
}

/** Black or white, whichever stands out more on `#rgb` or `#rrggbb` (WCAG's relative luminance). */
export function readableOn(colour: string): "#000" | "#fff" {
  const digits = colour.slice(1);
  const pairs = digits.length === 3 ? [...digits].map((digit) => digit + digit) : (digits.match(/../g) ?? []);
  const [red = 0, green = 0, blue = 0] = pairs.map((pair) => {
    const part = Number.parseInt(pair, 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 ? "#fff" : "#000";
}
