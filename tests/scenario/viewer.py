#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""usage: viewer.py GRPC ZMQ: watches measurements, pictures, alerts and all of ZeroMQ until it is killed; says "watching"
when frames have come on all ways. A process of its own, so that it can be stopped and killed."""
import sys

from client import Client, Subscriber


def main():
    grpc_target, zmq_endpoint = sys.argv[1:]
    client = Client(grpc_target)
    alerts = client.stream("Alerts", "Watch").accepted().gather()
    measurements = client.stream("Measurements", "Watch", holder_updates=True).gather()
    images = client.stream("Preview", "Watch", kind="IMAGE_KIND_RUNNING_MEAN", encoding="ENCODING_GRAY16").gather()
    frames = Subscriber(zmq_endpoint, [""], client.api).gather()
    measurements.wait_for(lambda event: event.HasField("measurement"), "a measurement")
    images.wait_for(lambda image: image.pixels, "an image")
    frames.wait_for(lambda message: message.topic.startswith("frame."), "a frame")
    print("watching", flush=True)
    alerts.join()


if __name__ == "__main__":
    main()
