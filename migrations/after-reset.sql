-- Run by graphile-migrate on a database that it has just made anew: what the migrations build on.
create extension if not exists pgmq;
