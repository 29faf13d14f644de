"""The URL of the service as its clients see it: scheme, host and API Gateway's stage."""

from chalice.app import Request

from chalicelib.services import Services

# The first folders of the paths whose responses contain URLs of the service.
FOLDERS = ("/slides/", "/iiif/", "/sign-in/")


def stage_of(request: Request) -> str:
    """Return the prefix of the service's paths: API Gateway's stage, such as `/api`, or an empty string."""
    path = str((request.context or {}).get("path", ""))
    return next((path[: path.index(folder)] for folder in FOLDERS if folder in path), "")


def service_url(request: Request, services: Services) -> str:
    """Return the URL of the service as its clients see it, without a slash at the end."""
    if services.settings.public_url:
        return services.settings.public_url
    domain = (request.context or {}).get("domainName")
    # Without a gateway the client controls this header. It can only choose between the two schemes.
    secure = str(request.headers.get("x-forwarded-proto", "https" if domain else "http")).lower() == "https"
    scheme = "https" if secure else "http"
    return f"{scheme}://{domain or request.headers.get('host', 'localhost')}{stage_of(request)}"
