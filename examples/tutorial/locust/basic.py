from locust import HttpUser, constant, task


class Visitor(HttpUser):
    """Somebody who looks at the main page once a second: enough to see that it answers, too little to make it slow."""

    wait_time = constant(1)

    @task
    def main_page(self):
        # Slow is for the evaluation to judge; only no answer, or a bad one, is a failure here.
        self.client.get("/", timeout=20)
