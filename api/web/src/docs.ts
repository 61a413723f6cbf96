/** The API's documentation, drawn from our own `/openapi.json`. */

import "swagger-ui-dist/swagger-ui.css";
import "./style/page.css";
import "./style/docs.css";
import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";

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
