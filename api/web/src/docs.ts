/** The API's documentation, drawn from our own `/openapi.json`. */

import "swagger-ui-dist/swagger-ui.css";
import "./style/page.css";
import "./style/docs.css";
import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = (): void => {
  document.documentElement.classList.toggle("dark-mode", dark.matches);
};
dark.addEventListener("change", follow);
follow();

SwaggerUI({
  dom_id: "#reference",
  url: "/openapi.json",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  syntaxHighlight: { activated: false },
  // Their own validator would send the document to somebody else's server.
  validatorUrl: null,
});
