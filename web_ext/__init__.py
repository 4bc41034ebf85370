"""banksim's web pages: a Flask blueprint on Locust's own web port.

from web_ext import RunView, register
register(environment, view)      # in an init listener, when environment.web_ui is there
"""

from web_ext.app import create_blueprint, protect_locust, register
from web_ext.guard import Guard
from web_ext.run_view import RunView
from web_ext.stream import Hub
