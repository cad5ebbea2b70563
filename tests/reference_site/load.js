// Copyright (c) 2026 frugal.cloud contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The shop's customers and staff, for k6. traffic.json says what they do; load.py starts this and judges its log.
//
// Each request becomes one line of JSON in the log: what it was, when, how long it took, and the facts that its
// answer showed. What a customer's own requests show (cart, orders, owner) is judged here, at once; what needs all
// customers' answers (prices against staff's changes, an answer given twice) is judged from the log.

import exec from "k6/execution";
import http from "k6/http";
import { randomSeed, sleep } from "k6";

const traffic = JSON.parse(open("./traffic.json"));
const base = __ENV.SHOP_URL;
// Seconds of each phase, one after the other; 0 leaves it out. Between them, what is under way ends.
const seconds = { warm: Number(__ENV.WARM), open: Number(__ENV.OPEN), closed: Number(__ENV.CLOSED) };
const PAUSE = 4;
const PASSWORD = "correct horse battery staple";
const PRODUCTS = 10000;
const COLOURS = ["black", "white", "grey", "blue", "red", "green", "yellow", "brown"];
const ASSETS = { "shop-1.css": ":root", "shop-1.js": "// Public", "logo-1.svg": "<svg" };
const PUBLIC = new Set(["home", "category", "product", "search"]);

function scenarios() {
  const found = {};
  const customers = Number(__ENV.CUSTOMERS || traffic.customers_at_once);
  let start = 0;
  for (const phase of ["warm", "open", "closed"]) {
    if (!seconds[phase]) continue;
    found[phase] = {
      executor: "constant-vus", exec: "customer", vus: customers,
      duration: `${seconds[phase]}s`, startTime: `${start}s`, gracefulStop: `${PAUSE}s`,
    };
    if (phase === "open") {
      found[phase] = {
        executor: "constant-arrival-rate", exec: "arrival", rate: Number(__ENV.RATE), timeUnit: "1s",
        preAllocatedVUs: customers, duration: `${seconds[phase]}s`, startTime: `${start}s`, gracefulStop: `${PAUSE}s`,
      };
    }
    start += seconds[phase] + PAUSE;
  }
  return found;
}

export const options = {
  scenarios: scenarios(),
  discardResponseBodies: false,
  // One connection a customer, as browsers keep them with HTTP/1.1.
  batchPerHost: 1,
  summaryTrendStats: ["count"],
};

const chances = [];
{
  let sum = 0;
  for (const [kind, percent] of Object.entries(traffic.mix)) chances.push([(sum += percent), kind]);
}
const browserChances = [];
{
  let sum = 0;
  for (const browser of traffic.browsers) browserChances.push([(sum += browser.share), browser]);
}

const syllables = [];
for (const consonant of "bdfgklmnprtz") for (const vowel of "aeiou") syllables.push(consonant + vowel);

// Word number n of the shop's language, as sql/seed.sql makes it.
function word(n) {
  return syllables[n % 60] + syllables[Math.floor(n / 60) % 60] + syllables[(n * 37) % 60];
}

function drawn(table, total) {
  const at = Math.random() * total;
  for (const [until, one] of table) if (at < until) return one;
  return table[table.length - 1][1];
}

// A rank from 1 to n whose chance falls with its power s: inverse of the continuous distribution.
function zipf(n, s) {
  const u = Math.random();
  const x = s === 1 ? Math.exp(u * Math.log(n + 1)) : Math.pow((Math.pow(n + 1, 1 - s) - 1) * u + 1, 1 / (1 - s));
  return Math.min(n, Math.floor(x));
}

function whole(n) {
  return Math.floor(Math.random() * n);
}

function chance(share) {
  return Math.random() < share;
}

function thinkTime() {
  const { mean_seconds: mean, sigma, maximum_seconds: most } = traffic.think_time;
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return Math.min(most, Math.exp(Math.log(mean) - (sigma * sigma) / 2 + sigma * normal));
}

// What this virtual user is and knows: a browser, a customer's session, and what their own writes were answered with.
let me = null;

function start() {
  const id = exec.vu.idInTest;
  randomSeed(Number(__ENV.SEED) * 100000 + id);
  const browser = drawn(browserChances, 1);
  const number = 100000000 + whole(899999999);
  const analytics = `_ga=GA1.1.${number}.17${number}; _gid=GA1.2.${whole(1e9)}.17${number}; _fbp=fb.1.17${number}.${whole(1e9)}`;
  me = {
    id,
    token: `reference-${id}`,
    headers: { Host: __ENV.SHOP_HOST, "User-Agent": browser.user_agent, "Accept-Encoding": browser.accept_encoding },
    analytics: chance(traffic.analytics_cookies) ? analytics : "",
    // Product -> quantity, null while unknown; number of orders and the last one's, null while unknown.
    cart: null,
    orders: null,
    last: null,
    seen: new Map(),
    // Stays empty: what is sent stands in cookies().
    jar: new http.CookieJar(),
  };
}

function cookies(session) {
  const held = [];
  if (me.analytics) held.push(me.analytics);
  if (session) held.push(`shop_session=${me.token}`);
  return held.join("; ");
}

function campaign() {
  const number = whole(1e9).toString(36);
  const all = [
    ["utm_source", ["newsletter", "search", "social", "partner"][whole(4)]],
    ["utm_medium", ["email", "cpc", "post"][whole(3)]],
    ["utm_campaign", `autumn-${number}`],
    ["gclid", `Cj0K${number}${whole(1e9).toString(36)}`],
    ["fbclid", `IwAR${number}${whole(1e9).toString(36)}`],
  ];
  const first = whole(3);
  return all.slice(first, first + 1 + whole(3));
}

function address(path, parameters) {
  const text = parameters.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  return text ? `${path}?${text}` : path;
}

function publicPage(kind) {
  if (kind === "home") return ["/", []];
  if (kind === "product") return [`/p/${zipf(PRODUCTS, traffic.zipf.products)}`, []];
  const page = zipf(5, traffic.zipf.pages);
  const parameters = page > 1 ? [["page", page]] : [];
  if (kind === "search") {
    return ["/search", [["q", word(1 + ((zipf(800, traffic.zipf.terms) * 37) % 800))], ...parameters]];
  }
  if (chance(traffic.filters.brand)) parameters.push(["brand", `b${zipf(60, 1)}`]);
  if (chance(traffic.filters.colour)) parameters.push(["colour", COLOURS[whole(8)]]);
  if (chance(traffic.filters.sort)) parameters.push(["sort", ["price", "new"][whole(2)]]);
  if (parameters.length > 1 && chance(traffic.filters.shuffled)) parameters.reverse();
  return [`/c/c${zipf(40, traffic.zipf.categories)}`, parameters];
}

function facts(answer) {
  const type = answer.headers["Content-Type"] || "";
  if (type.startsWith("application/json")) return JSON.parse(answer.body);
  const from = answer.body.indexOf('id="facts">') + 11;
  if (from < 11) return null;
  return JSON.parse(answer.body.slice(from, answer.body.indexOf("</script>", from)));
}

function wrong(kind, why, detail) {
  console.log(JSON.stringify({ wrong: why, kind, customer: me.id, at: Date.now(), detail }));
}

// One request, and its line in the log. Returns what the answer showed, null where it was no good answer.
function ask(kind, method, path, { body = null, session = false, headers = {}, good = [200] } = {}) {
  const all = Object.assign({ Cookie: cookies(session) }, me.headers, headers);
  if (!all.Cookie) delete all.Cookie;
  const began = Date.now();
  const answer = http.request(method, base + path, body, { headers: all, redirects: 0, jar: me.jar, timeout: "20s" });
  const ended = Date.now();
  const line = {
    phase: exec.scenario.name, kind, at: began, end: ended, status: answer.status,
    took: answer.timings.duration + answer.timings.connecting,
  };
  let found = null;
  if (good.includes(answer.status)) {
    if (kind === "asset") {
      found = answer.body;
    } else if (answer.status === 304) {
      found = { products: me.seen.get(path.split("?utm")[0]).products };
    } else {
      try {
        found = facts(answer);
      } catch (error) {
        found = null;
      }
      if (found === null) wrong(kind, "no facts in the answer", path);
    }
  }
  if (found && found.products) line.products = found.products;
  if (found && found.rendering) line.rendering = found.rendering;
  if (answer.headers["Age"] && Number(answer.headers["Age"]) > 0) line.age = Number(answer.headers["Age"]);
  console.log(JSON.stringify(line));
  if (found && found.owner !== undefined) {
    if (found.owner !== me.id) wrong(kind, "another customer's answer", found);
    if (!(answer.headers["Cache-Control"] || "").includes("no-store")) wrong(kind, "private and not no-store", path);
  }
  return found && { found, answer };
}

function look(kind) {
  const [path, own] = publicPage(kind);
  const key = address(path, own);
  const parameters = chance(traffic.campaign_parameters) ? own.concat(campaign()) : own;
  const headers = {};
  const seen = me.seen.get(key);
  if (seen && chance(traffic.revalidation / (1 - traffic.campaign_parameters)) && parameters === own) {
    headers["If-None-Match"] = seen.etag;
  }
  const done = ask(kind, "GET", address(path, parameters), {
    session: chance(traffic.session_on_public_pages), headers, good: headers["If-None-Match"] ? [200, 304] : [200],
  });
  if (!done) return;
  const { found, answer } = done;
  if (found.owner !== undefined || found.rendering !== undefined) wrong(kind, "a private answer to a public page", found);
  if (answer.headers["Set-Cookie"]) wrong(kind, "a public page sets a cookie", path);
  if (answer.status === 200 && found.page !== kind) wrong(kind, "another page", found.page);
  if (answer.status === 200 && answer.headers["Etag"]) {
    if (me.seen.size > 200) me.seen.clear();
    me.seen.set(key, { etag: answer.headers["Etag"], products: found.products });
  }
}

function asCart(found) {
  return new Map(found.lines);
}

function same(one, other) {
  if (one.size !== other.size) return false;
  for (const [key, value] of one) if (other.get(key) !== value) return false;
  return true;
}

// A customer's cart as an answer shows it, against what their last write left.
function judgeCart(kind, found) {
  const shown = asCart(found);
  if (me.cart !== null && !same(me.cart, shown)) wrong(kind, "not the customer's last cart", { shown: [...shown], left: [...me.cart] });
  me.cart = shown;
}

function pieces(cart) {
  let sum = 0;
  for (const quantity of cart.values()) sum += quantity;
  return sum;
}

function write(kind, method, path, content, more = {}) {
  const json = { "Content-Type": "application/json" };
  const body = content === null ? null : JSON.stringify(content);
  return ask(kind, method, path, Object.assign({ body, session: true, headers: json }, more));
}

const actions = {
  home: () => look("home"),
  category: () => look("category"),
  product: () => look("product"),
  search: () => look("search"),
  asset: () => {
    const name = Object.keys(ASSETS)[whole(3)];
    const done = ask("asset", "GET", `/assets/${name}`, {});
    if (done && !done.found.startsWith(ASSETS[name])) wrong("asset", "another asset", name);
  },
  header: () => {
    const done = ask("header", "GET", "/header", { session: true });
    if (done && me.cart !== null && done.found.count !== pieces(me.cart)) {
      wrong("header", "not the customer's last cart", { shown: done.found.count, left: pieces(me.cart) });
    }
  },
  cart: () => {
    const done = ask("cart", "GET", "/cart", { session: true });
    if (done) judgeCart("cart", done.found);
  },
  checkout: () => {
    const done = ask("checkout", "GET", "/checkout", { session: true });
    if (done) judgeCart("checkout", done.found);
  },
  account: () => {
    const done = ask("account", "GET", "/account", { session: true });
    if (!done) return;
    const { orders, last } = done.found;
    if (me.orders !== null && (orders !== me.orders || last !== me.last)) {
      wrong("account", "not the customer's last order", { shown: [orders, last], left: [me.orders, me.last] });
    }
    me.orders = orders;
    me.last = last;
  },
  add_to_cart: () => {
    const product = zipf(PRODUCTS, traffic.zipf.products);
    const quantity = 1 + whole(3);
    if (me.cart !== null) me.cart.set(product, (me.cart.get(product) || 0) + quantity);
    const done = write("add_to_cart", "POST", "/cart", { product, quantity });
    if (done) judgeCart("add_to_cart", done.found);
    else me.cart = null;
  },
  change_cart: () => {
    if (me.cart === null || me.cart.size === 0) return actions.add_to_cart();
    const product = [...me.cart.keys()][whole(me.cart.size)];
    const quantity = whole(4);
    if (quantity) me.cart.set(product, quantity);
    else me.cart.delete(product);
    const done = write("change_cart", "PUT", `/cart/${product}`, { quantity });
    if (done) judgeCart("change_cart", done.found);
    else me.cart = null;
  },
  place_order: () => {
    if (me.cart === null || me.cart.size === 0) return actions.add_to_cart();
    const done = write("place_order", "POST", "/checkout", null, { good: [200, 409] });
    if (!done) {
      me.cart = null;
      me.orders = null;
    } else if (done.answer.status === 200) {
      const { order } = done.found;
      if (order.pieces !== pieces(me.cart)) wrong("place_order", "not the customer's last cart", order);
      me.cart = new Map();
      if (me.orders !== null) me.orders += 1;
      me.last = order.id;
    }
  },
  login: () => {
    const body = { email: `customer${me.id}@example.com`, password: PASSWORD };
    const done = ask("login", "POST", "/login", { body });
    if (!done) return;
    const held = done.answer.cookies["shop_session"];
    me.jar.clear(base);
    if (held) me.token = held[0].value;
    else wrong("login", "no session", done.found);
  },
  change_price: () => staff("change_price", { price: 500 + whole(49500) }),
  // A fifth of the deliveries does not come: few are left, or none.
  change_stock: () => staff("change_stock", { stock: chance(0.2) ? whole(11) : 500 + whole(4500) }),
};

function staff(kind, content) {
  const product = zipf(PRODUCTS, traffic.zipf.products);
  const headers = { Authorization: `Bearer ${__ENV.STAFF_TOKEN}`, "Content-Type": "application/json" };
  write(kind, "PATCH", `/staff/products/${product}`, content, { session: false, headers });
}

export function arrival() {
  if (me === null) start();
  actions[drawn(chances, 100)]();
}

export function customer() {
  arrival();
  sleep(thinkTime());
}
