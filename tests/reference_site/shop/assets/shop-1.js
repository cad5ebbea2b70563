// Public pages are the same for everybody: what is a customer's own is loaded into them.
async function showHeader() {
  const answer = await fetch("/header", { credentials: "same-origin" });
  if (!answer.ok) return;
  const { name, count } = await answer.json();
  document.getElementById("customer").textContent = name;
  document.getElementById("count").textContent = count || "";
}

async function add(button) {
  button.disabled = true;
  const answer = await fetch("/cart", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ product: Number(button.dataset.add), quantity: 1 }),
  });
  button.disabled = false;
  if (answer.status === 403) location.assign("/login");
  else await showHeader();
}

document.addEventListener("click", (event) => {
  if (event.target.dataset && event.target.dataset.add) add(event.target);
});
showHeader();
