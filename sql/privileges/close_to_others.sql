-- Closed by default: nobody but the owners may do anything until it is granted. Applied last, in the transaction that applies the functions.
select public.fw_close_to_others();
