# Makes database shop what it was in the beginning, a copy of shop_seed; whoever is connected is cut off.
set -eu
su postgres -c "psql -q -v ON_ERROR_STOP=1 -d postgres" <<SQL
DROP DATABASE IF EXISTS shop WITH (FORCE);
CREATE DATABASE shop TEMPLATE shop_seed OWNER shop STRATEGY file_copy;
CHECKPOINT;
SQL
