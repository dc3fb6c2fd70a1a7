/**
 * Starts Swagger UI. Nothing of it leaves this host: no validator badge, no configuration from the
 * address, no example requests to other servers.
 */
/* global SwaggerUIBundle */
SwaggerUIBundle({
	url: "/openapi.json",
	dom_id: "#swagger-ui",
	deepLinking: true,
	validatorUrl: null,
	queryConfigEnabled: false,
	persistAuthorization: false,
});
