"""The queues that carry messages between the steps."""

import json
from collections.abc import Sequence
from itertools import batched
