"""To be replaced."""


class TracingService:
    pass


def get_tracing_service(service_name="service"):
    return TracingService()
