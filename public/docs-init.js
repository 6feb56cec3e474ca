/** Starts Swagger UI on /api/docs; a file of its own because the page's policy allows no inline script. */
window.addEventListener('DOMContentLoaded', () => {
  window.SwaggerUIBundle({ url: '/api/openapi.json', dom_id: '#swagger', deepLinking: true, tryItOutEnabled: true });
});
