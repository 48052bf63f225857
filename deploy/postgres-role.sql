-- What the worker's account needs on a PostgreSQL server, and no more. Run it as a superuser, or as
-- the administrator of a managed server, once for each owner of a database, in the database that the
-- settings call `maintenance`:
--
--   psql -d postgres -v worker=rollback_worker -v owner=shop -f deploy/postgres-role.sql
--   \password rollback_worker
--
-- Sessions of superusers cannot be ended by it: where there are some, a plan says so.

select format('create role %I login', :'worker')
where not exists (select from pg_roles where rolname = :'worker') \gexec

-- To make the copy that a backup is restored into, and to rename databases.
alter role :"worker" createdb;
-- To see the sessions of others, and to end them.
grant pg_read_all_stats, pg_signal_backend to :"worker";
-- To see where the server has its files, so that a disk that fills up ends a restore and not the server.
grant pg_read_all_settings to :"worker";
-- To act on the databases of this owner: rename them, restore their tables, migrate their schema in their name.
grant :"owner" to :"worker";

-- To recover to a point in time that the archive does not reach to yet.
grant execute on function pg_switch_wal() to :"worker";

-- Only where roles have settings of their own in a database (ALTER ROLE ... IN DATABASE ... SET), or the
-- database has some that are a superuser's, so that they go over with a swap; a plan names them. The first
-- is much to give, and taking those settings away (RESET ALL) does as well:
--   alter role rollback_worker createrole;
--   grant reporting to rollback_worker with admin option; -- from PostgreSQL 16 on, beside it
--   grant set on parameter log_min_duration_statement to rollback_worker;
-- Settings of a superuser in a database only a superuser can carry over.
