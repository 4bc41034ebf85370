-- The same constant body as plain_users.py, by wrk.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"amount":{"amount":"125.50","currency":"USD"},"description":"Groceries at the corner, paid by card",'
  .. '"channel":"online","reference":"0c9f5a3e-6f0a-4d57-9a53-3f1c2b1e9d10",'
  .. '"account_id":"7d1f7e1e-3f3a-4c83-8a83-b0a4c8e2c111",'
  .. '"metadata":{"customer":"9f3b7c52-9c38-4f5f-8a63-5b5b8f3f7a22","city":"Boston"}}'
