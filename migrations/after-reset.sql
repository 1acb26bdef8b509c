create extension if not exists pgmq;
