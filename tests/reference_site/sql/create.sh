# Makes user shop, database shop_seed with all rows, and its copy shop. Run by root on the host of PostgreSQL.
set -eu
folder=$(dirname "$0")
as_owner() { su postgres -c "psql -q -v ON_ERROR_STOP=1 $*"; }
as_owner -d postgres <<SQL
CREATE ROLE shop LOGIN PASSWORD '$SHOP_DATABASE_PASSWORD';
CREATE DATABASE shop_seed OWNER shop;
SQL
for part in schema seed indexes; do
    { echo 'SET ROLE shop;'; cat "$folder/$part.sql"; } | as_owner -d shop_seed > /dev/null
done
sh "$folder/reset.sh"
touch /var/lib/postgresql/shop-seeded
