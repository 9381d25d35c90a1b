# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that shares no code with latticed: it asks the server what it can (gRPC reflection), builds the messages from
the answer, and decodes errors as any client with google.rpc's standard classes would. Debian's packages only."""
import collections
import functools
import importlib.util
import pathlib
import subprocess
import tempfile
import threading

import grpc
import zmq
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "latticed.v1"
# Messages no service speaks of: ZeroMQ's headers, and what errors carry.
_APART = (f"{PACKAGE}.FrameHeader", f"{PACKAGE}.ErrorStatus")
# Sanitizers and a busy machine are slow; a deadline only ends what hangs.
DEADLINE_S = 120
_REFLECTION_PROTO = pathlib.Path("/usr/share/grpc-proto/grpc/reflection/v1alpha/reflection.proto")
_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # a connection of its own for every client
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.enable_http_proxy", 0),
)


@functools.lru_cache(None)
def _reflection():
    """grpc's own reflection messages: what has to be known beforehand."""
    with tempfile.TemporaryDirectory(prefix="latticed-reflection-") as folder:
        subprocess.run(["protoc", f"--python_out={folder}", f"-I{_REFLECTION_PROTO.parent}", _REFLECTION_PROTO],
                       check=True, timeout=DEADLINE_S)
        spec = importlib.util.spec_from_file_location("reflection_pb2", f"{folder}/reflection_pb2.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@functools.lru_cache(None)
def _google_rpc():
    """google.rpc.Status and google.rpc.ErrorInfo as the standard has them; Debian has no package of them."""
    Field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="google/rpc/status.proto", package="google.rpc", syntax="proto3",
        dependency=["google/protobuf/any.proto"])

    def message(name, *fields):
        made = file.message_type.add(name=name)
        for number, (field, kind, label, of) in enumerate(fields, 1):
            made.field.add(name=field, number=number, type=kind, label=label, type_name=of)
        return made
    one, many = Field.LABEL_OPTIONAL, Field.LABEL_REPEATED
    message("Status", ("code", Field.TYPE_INT32, one, None), ("message", Field.TYPE_STRING, one, None),
            ("details", Field.TYPE_MESSAGE, many, ".google.protobuf.Any"))
    info = message("ErrorInfo", ("reason", Field.TYPE_STRING, one, None), ("domain", Field.TYPE_STRING, one, None),
                   ("metadata", Field.TYPE_MESSAGE, many, ".google.rpc.ErrorInfo.MetadataEntry"))
    entry = info.nested_type.add(name="MetadataEntry")
    entry.options.map_entry = True
    for number, name in enumerate(("key", "value"), 1):
        entry.field.add(name=name, number=number, type=Field.TYPE_STRING, label=one)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return tuple(factory.GetPrototype(pool.FindMessageTypeByName(f"google.rpc.{name}"))
                 for name in ("Status", "ErrorInfo"))


class Refused(Exception):
    """A call that ended with an error. code: grpc.StatusCode; reason, domain, metadata: of its ErrorInfo, if any."""

    def __init__(self, error):
        self.code, self.message = error.code(), error.details()
        self.reason, self.domain, self.metadata, self.rich_code = "", "", {}, None
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                self._decode(value)
        super().__init__(f"{self.code.name} {self.reason} {self.message} {self.metadata}")

    def _decode(self, packed):
        Status, ErrorInfo = _google_rpc()
        status = Status.FromString(packed)
        self.rich_code = status.code
        for detail in status.details:
            if detail.type_url == "type.googleapis.com/google.rpc.ErrorInfo":
                info = ErrorInfo.FromString(detail.value)
                self.reason, self.domain, self.metadata = info.reason, info.domain, dict(info.metadata)


class Api:
    """What a server says it can, by reflection."""

    def __init__(self, channel, timeout=DEADLINE_S, metadata=()):
        pb = _reflection()
        ask = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                    pb.ServerReflectionRequest.SerializeToString,
                                    pb.ServerReflectionResponse.FromString)

        def answer(**question):
            try:
                replies = list(ask(iter([pb.ServerReflectionRequest(**question)]), timeout=timeout, metadata=metadata,
                                   wait_for_ready=True))
            except grpc.RpcError as error:
                raise Refused(error) from None
            assert len(replies) == 1, replies
            assert not replies[0].HasField("error_response"), f"{question}: {replies[0].error_response}"
            return replies[0]
        self.services = sorted(s.name for s in answer(list_services="").list_services_response.service)
        self.pool = descriptor_pool.DescriptorPool()
        self.files = {}
        for symbol in (*self.services, *_APART):
            for packed in answer(file_containing_symbol=symbol).file_descriptor_response.file_descriptor_proto:
                file = descriptor_pb2.FileDescriptorProto.FromString(packed)
                self.files[file.name] = file
        added = set()

        def add(name):
            if name in added:
                return
            added.add(name)
            if name not in self.files:
                packed, *_ = answer(file_by_filename=name).file_descriptor_response.file_descriptor_proto
                self.files[name] = descriptor_pb2.FileDescriptorProto.FromString(packed)
            for other in self.files[name].dependency:
                add(other)
            self.pool.Add(self.files[name])
        for name in list(self.files):
            add(name)
        self._factory = message_factory.MessageFactory(self.pool)

    def message(self, name):
        """The class of a message: "Measurement", or a full name."""
        return self.message_of(self.pool.FindMessageTypeByName(name if "." in name else f"{PACKAGE}.{name}"))

    def message_of(self, descriptor):
        return self._factory.GetPrototype(descriptor)

    def service(self, name):
        return self.pool.FindServiceByName(name if "." in name else f"{PACKAGE}.{name}")

    def method(self, service, name):
        """Its descriptor, and whether the server streams."""
        found = self.service(service)
        method = found.methods_by_name[name]
        file = self.files[found.file.name]
        proto = next(m for s in file.service if s.name == found.name for m in s.method if m.name == name)
        return method, proto.server_streaming

    def enum(self, name):
        """{label: number}"""
        return {v.name: v.number for v in self.pool.FindEnumTypeByName(f"{PACKAGE}.{name}").values}


class Stream:
    """A server stream: iterate it, or next(). Ends with Refused, also at its deadline; cancel() ends it quietly."""

    def __init__(self, call):
        self._call = call
        self._is_cancelled = False

    def accepted(self):
        """Waits for the initial metadata: from here on nothing is missed unsaid."""
        self._call.initial_metadata()
        if not self._call.is_active() and self._call.code() != grpc.StatusCode.OK:
            raise Refused(self._call)
        return self

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return next(self._call)
        except grpc.RpcError as error:
            if self._is_cancelled:
                raise StopIteration from None
            raise Refused(error) from None

    def until(self, condition):
        """All messages up to the first that fulfils the condition, which is the last of them."""
        seen = []
        for message in self:
            seen.append(message)
            if condition(message):
                return seen
        raise AssertionError(f"the stream ended after {len(seen)} messages, none of which was it")

    def first(self, condition=lambda message: True):
        return self.until(condition)[-1]

    def cancel(self):
        self._is_cancelled = True
        self._call.cancel()

    def gather(self):
        """Reads it in the background, as fast as it comes."""
        return Gathered(self, self.cancel)


class Gathered:
    """Messages of a stream or subscriber, read in the background."""

    def __init__(self, source, cancel):
        self.messages, self.error = [], None
        self._cancel = cancel
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(source,), daemon=True)
        self._is_over = False
        self._thread.start()

    def _read(self, source):
        try:
            for message in source:
                with self._more:
                    self.messages.append(message)
                    self._more.notify_all()
        except Refused as error:
            self.error = error
        finally:
            with self._more:
                self._is_over = True
                self._more.notify_all()

    def wait_for(self, condition, what="it"):
        """The first message, of those that came and will come, for which the condition holds."""
        at = 0
        with self._more:
            while True:
                for message in self.messages[at:]:
                    if condition(message):
                        return message
                at = len(self.messages)
                assert not self._is_over, f"ended after {at} messages without {what}: {self.error}"
                assert self._more.wait(DEADLINE_S), f"{what}: not among {at} messages within {DEADLINE_S} s"

    def end(self):
        """No more. All that came."""
        self._cancel()
        return self.join()

    def join(self):
        """All there were when the server has ended the stream; its error if it ended with one."""
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the stream does not end"
        if self.error:
            raise self.error
        return self.messages


class Client:
    """client.call("Acquisition", "GetStatus") and client.stream("Measurements", "Watch", from_seq=0). A service's full
    name finds others': client.call("grpc.health.v1.Health", "Check"). Enums by name, nested messages as dicts."""

    def __init__(self, target, credentials=None, token=None, options=(), api=None):
        channel_options = [*_OPTIONS, *options]
        self._channel = (grpc.secure_channel(target, credentials, channel_options) if credentials
                         else grpc.insecure_channel(target, channel_options))
        self._metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
        self._api = api

    @property
    def api(self):
        if self._api is None:
            self._api = Api(self._channel, metadata=self._metadata)
        return self._api

    def _prepare(self, service, name, fields):
        method, is_streaming = self.api.method(service, name)
        kind = self._channel.unary_stream if is_streaming else self._channel.unary_unary
        request, reply = self.api.message_of(method.input_type), self.api.message_of(method.output_type)
        call = kind(f"/{self.api.service(service).full_name}/{name}", request.SerializeToString, reply.FromString)
        return call, request(**fields), is_streaming

    def call(self, service, method, /, *, timeout=DEADLINE_S, **fields):
        """timeout=None: no deadline at all."""
        call, request, is_streaming = self._prepare(service, method, fields)
        assert not is_streaming, f"{service}.{method} is a stream"
        try:
            return call(request, timeout=timeout, metadata=self._metadata, wait_for_ready=timeout is not None)
        except grpc.RpcError as error:
            raise Refused(error) from None

    def stream(self, service, method, /, *, timeout=DEADLINE_S, **fields):
        call, request, is_streaming = self._prepare(service, method, fields)
        assert is_streaming, f"{service}.{method} is no stream"
        return Stream(call(request, timeout=timeout, metadata=self._metadata, wait_for_ready=timeout is not None))

    def refused(self, service, method, /, **fields):
        """The Refused of a call that must be refused."""
        try:
            _, is_streaming = self.api.method(service, method)
            reply = self.stream(service, method, **fields).first() if is_streaming else self.call(service, method, **fields)
        except Refused as why:
            return why
        raise AssertionError(f"{service}.{method} {fields} was not refused: {reply}")

    def close(self):
        self._channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


Published = collections.namedtuple("Published", "topic header body")


class Subscriber:
    """A ZeroMQ subscriber of some topics. `api` tells it what the parts are."""

    def __init__(self, endpoint, topics, api, hwm=100000):
        self._api = api
        self._is_ended, self._gathered = threading.Event(), None
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, hwm)
        self._socket.setsockopt(zmq.LINGER, 0)
        for topic in topics:
            self._socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
        self._socket.connect(endpoint)

    def receive(self, timeout_s=DEADLINE_S):
        """The next message, its body raw. None when none came in time."""
        if not self._socket.poll(int(timeout_s * 1000)):
            return None
        topic, header, body = self._socket.recv_multipart()
        kind = "FrameHeader" if topic.startswith(b"frame.") else "MessageHeader"
        return Published(topic.decode(), self._api.message(kind).FromString(header), body)

    def until(self, condition):
        """All messages up to the first that fulfils the condition, which is the last of them."""
        seen = []
        while message := self.receive():
            seen.append(message)
            if condition(message):
                return seen
        raise AssertionError(f"silence after {len(seen)} messages, none of which was it")

    def __iter__(self):
        while not self._is_ended.is_set():
            if message := self.receive(0.05):
                yield message

    def gather(self):
        """Reads it in the background, as fast as it comes. Nothing else may use it then."""
        self._gathered = Gathered(self, self._is_ended.set)
        return self._gathered

    def close(self):
        if self._gathered:
            self._gathered.end()
        self._context.destroy(linger=0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
