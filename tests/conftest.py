"""Nothing but settings that every test shares."""

from hypothesis import settings

# Wall-clock deadlines fail on shared machines; derandomised, a failure is the same for everybody.
settings.register_profile("pytams", deadline=None, derandomize=True)
settings.load_profile("pytams")
