"""A Celery application over RabbitMQ and Redis: a task that embeds images, and one that does nothing.

    SUBWATCH_AMQP_URL=… SUBWATCH_REDIS_URL=… PEER_MODE=eager|compile PEER_PRECISION=… PEER_WEIGHTS=… PEER_THREADS=2
"""

import functools
import os

from celery import Celery

BATCH = 32

app = Celery("peer", broker=os.environ["SUBWATCH_AMQP_URL"], backend=os.environ["SUBWATCH_REDIS_URL"])
app.conf.task_acks_late = True
app.conf.task_default_delivery_mode = "persistent"
app.conf.broker_transport_options = {"confirm_publish": True}
app.conf.broker_connection_retry_on_startup = True


@functools.cache
def embedder():
    from peer_model import Embedder

    return Embedder(os.environ["PEER_MODE"], int(os.environ["PEER_THREADS"]))


@app.task
def noop(number):
    return number


@app.task
def embed(paths):
    import numpy as np

    from peer_model import read

    for first in range(0, len(paths), BATCH):
        batch = paths[first : first + BATCH]
        vectors = embedder().embed(np.stack([read(path) for path in batch]))
        embedder().save(batch, vectors)
    return len(paths)
