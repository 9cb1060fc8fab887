"""A client that knows nothing of Situ: writes pages, or reads a topic, with Avro schemas from the registry.

write BROKERS REGISTRY TOPIC SCHEMA-FILE COUNT   each page twice, any key and codec, content alone
read BROKERS REGISTRY TOPIC OUT-FILE             a JSON line for each record that is there
"""
import json
import sys
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext


def write(brokers, registry, topic, schema_file, count):
    with open(schema_file, encoding="utf-8") as file:
        serialize = AvroSerializer(registry, file.read())
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    producers = [Producer({"bootstrap.servers": brokers, "compression.type": codec}) for codec in codecs]
    context = SerializationContext(topic, MessageField.VALUE)
    words = "river stone lantern orchard harbour violin glacier copper meadow signal".split()
    for number in list(range(count)) * 2:
        name = " ".join(words[int(digit)] for digit in f"{number * 7919 % 1000:03}")
        text = f"Report {number} tells of the {name} and of what was measured there on day {number}. "
        content = f"<html><body><article><h1>Report {number}</h1><p>{text * 6}</p></article></body></html>"
        producer = producers[number % len(producers)]
        producer.produce(topic, key=uuid.uuid4().hex, value=serialize({"content": content}, context))
    if any(producer.flush(30) > 0 for producer in producers):
        sys.exit("not all pages were taken")


def read(brokers, registry, topic, out_file):
    deserialize = AvroDeserializer(registry)
    consumer = Consumer(
        {"bootstrap.servers": brokers, "group.id": uuid.uuid4().hex, "enable.auto.commit": False,
         "isolation.level": "read_committed", "enable.partition.eof": True}
    )
    partitions = list(consumer.list_topics(topic, 10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    ended = set()
    lines = []
    while len(ended) < len(partitions):
        message = consumer.poll(30)
        if message is None:
            sys.exit("nothing came for 30 s")
        if message.error():
            ended.add(message.partition())
            continue
        record = deserialize(message.value(), SerializationContext(topic, MessageField.VALUE))
        lines.append(json.dumps(record, default=repr))
    consumer.close()
    with open(out_file, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


if __name__ == "__main__":
    command, brokers, url, topic, *rest = sys.argv[1:]
    client = SchemaRegistryClient({"url": url})
    if command == "write":
        write(brokers, client, topic, rest[0], int(rest[1]))
    else:
        read(brokers, client, topic, rest[0])
