"""Where a caller reaches the service: scheme, host and API Gateway's stage."""

from chalice.app import Request

from chalicelib.services import Services

# The first folders of the addresses whose answers name the service.
FOLDERS = ("/slides/", "/iiif/", "/sign-in/")


def stage_of(request: Request) -> str:
    """Return what stands before the service's own paths: API Gateway's stage, such as `/api`, or nothing."""
    path = str((request.context or {}).get("path", ""))
    return next((path[: path.index(folder)] for folder in FOLDERS if folder in path), "")


def service_url(request: Request, system: Services) -> str:
    """Return the URL of the service as its clients see it, without a slash at the end."""
    if system.settings.public_url:
        return system.settings.public_url
    domain = (request.context or {}).get("domainName")
    # Who asks may write this header where no gateway does: it only ever chooses between the two.
    secure = str(request.headers.get("x-forwarded-proto", "https" if domain else "http")).lower() == "https"
    scheme = "https" if secure else "http"
    return f"{scheme}://{domain or request.headers.get('host', 'localhost')}{stage_of(request)}"
