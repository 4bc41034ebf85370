// The same job as banksim's, by k6: for each of 500 customers' transactions post a movement and ask for a score.
//
//   k6 run -e TARGET=http://127.0.0.1:8000 -e TPS=1000 benchmarks/k6_job.js
//
// An open model at a constant rate, JSON both ways, answers checked and counted, thresholds on both.  Customers,
// amounts, merchants and descriptions vary; there is no fraud, no ledger of expected balances, no detection by cents.
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';

const TPS = Number(__ENV.TPS || 1000);
const CUSTOMERS = 500;
const KINDS = ['purchase', 'withdrawal', 'deposit', 'transfer', 'bill_payment'];
const ROUTES = { deposit: 'deposit', transfer: 'transfer' };
const CHANNELS = ['pos', 'web', 'atm', 'mobile'];
const BANK_CHANNELS = { pos: 'online', web: 'online', atm: 'atm', mobile: 'mobile' };
const CITIES = [['Boston', 42.3601, -71.0589], ['Denver', 39.7392, -104.9903], ['Austin', 30.2672, -97.7431]];

export const options = {
  scenarios: {
    day: { executor: 'constant-arrival-rate', rate: TPS, timeUnit: '1s', duration: '10m', preAllocatedVUs: 200, maxVUs: 400 },
  },
  thresholds: {
    posted: ['count > 0'],
    failed: ['count < 100'],
    'http_req_duration{name:score}': ['p(99) < 1000'],
    response_time: ['p(95) < 1000', 'p(99) < 2000'],
  },
};

const posted = new Counter('posted');
const failed = new Counter('failed');
const approved = new Counter('approved');
const alerted = new Counter('alerted');
const amount_cents = new Counter('amount_cents');
const response_time = new Trend('response_time', true);

function uuid(n) {
  const digits = ((n * 2654435761) >>> 0).toString(16).padStart(8, '0');
  return `${digits}-6f0a-4d57-9a53-${digits}${digits.slice(0, 4)}`;
}

const customers = [];
for (let n = 0; n < CUSTOMERS; n++) {
  customers.push({ customer: uuid(3 * n), account: uuid(3 * n + 1), device: uuid(3 * n + 2), city: CITIES[n % CITIES.length] });
}
const json = { 'Content-Type': 'application/json', Accept: 'application/json' };
const to_bank = { headers: json, tags: { name: 'movement' } };
const to_detector = { headers: json, tags: { name: 'score' } };

export default function () {
  const started = Date.now();
  const payer = customers[Math.floor(Math.random() * CUSTOMERS)];
  const kind = KINDS[Math.floor(Math.random() * KINDS.length)];
  const channel = CHANNELS[Math.floor(Math.random() * CHANNELS.length)];
  const cents = 100 + Math.floor(Math.random() * 20000);
  const id = `${uuid(__ITER)}-${__VU}`;
  const [city, latitude, longitude] = payer.city;
  const shop = Math.floor(Math.random() * 1000);
  const description = `Purchase at shop ${shop}`;
  const body = {
    amount: { amount: (cents / 100).toFixed(2), currency: 'USD' },
    description,
    channel: BANK_CHANNELS[channel],
    reference: id,
  };
  let other = '';
  if (kind === 'transfer') {
    other = customers[Math.floor(Math.random() * CUSTOMERS)].account;
    body.from_account_id = payer.account;
    body.to_account_id = other;
  } else {
    body.account_id = payer.account;
  }
  const movement = http.post(`${__ENV.TARGET}/transactions/${ROUTES[kind] || 'withdraw'}`, JSON.stringify(body), to_bank);
  if (movement.status === 200 && movement.json().state === 'completed') {
    posted.add(1);
    amount_cents.add(cents);
  } else {
    failed.add(1);
  }
  const scored = http.post(
    `${__ENV.TARGET}/score`,
    JSON.stringify({
      transaction_id: id,
      cif_id: payer.customer,
      amount: cents / 100,
      currency: 'USD',
      merchant_id: `m-${shop}`,
      merchant_category: 'grocery',
      channel,
      country: 'US',
      timestamp: started / 1000,
      metadata: {
        transaction_type: kind,
        description,
        account_id: payer.account,
        counterparty_account_id: other,
        device_id: payer.device,
        latitude,
        longitude,
        city,
        merchant: `Shop ${shop}`,
        merchant_category_code: '5411',
      },
    }),
    to_detector,
  );
  const answer = scored.status === 200 ? scored.json() : {};
  if (answer.decision === 'APPROVE') {
    approved.add(1);
  } else {
    alerted.add(1);
  }
  response_time.add(Date.now() - started);
}
