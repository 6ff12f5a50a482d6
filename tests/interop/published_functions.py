"""The two published functions as Lambda handlers: `publish` and `set_target` of backlog_functions.py, as a runtime calls them."""

import backlog_functions


def publish(event, context):
    return backlog_functions.publish()


def set_target(event, context):
    return backlog_functions.set_target()
