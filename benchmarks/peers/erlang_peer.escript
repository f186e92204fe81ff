#!/usr/bin/env escript
%% Erlang: a process with a mailbox, messages are tuples. It does what it is told on standard input, as the others do.
%%! +S 2
-mode(compile).

-define(TEXT, <<"The lamp in the third window has been out since Tuesday evening.">>).
-define(IN_FLIGHT, 64).

main(_) ->
    Receiver = spawn(fun() -> receiver(0) end),
    io:format("ready~n"),
    serve(Receiver).

serve(Receiver) ->
    case io:get_line("") of
        eof -> ok;
        Line ->
            [What, Number] = string:lexemes(string:trim(Line), " "),
            Count = list_to_integer(Number),
            Done = case What of
                "tell" -> tell(Receiver, Count);
                "ask" -> ask(Receiver, Count)
            end,
            io:format("~b~n", [Done]),
            serve(Receiver)
    end.

receiver(Handled) ->
    receive
        {note, _Number, _Text} -> receiver(Handled + 1);
        {question, From, Ref, Number, Text} -> From ! {answer, Ref, Number + 1, Text}, receiver(Handled);
        {count, From, Ref} -> From ! {answer, Ref, Handled, none}, receiver(0)
    end.

tell(Receiver, Count) ->
    send_notes(Receiver, Count),
    Ref = make_ref(),
    Receiver ! {count, self(), Ref},
    receive {answer, Ref, Handled, none} -> Handled end.

send_notes(_Receiver, 0) -> ok;
send_notes(Receiver, Left) ->
    Receiver ! {note, Left, ?TEXT},
    send_notes(Receiver, Left - 1).

%% 64 processes, each with one question open at a time.
ask(Receiver, Count) ->
    Self = self(),
    Share = Count div ?IN_FLIGHT,
    Counts = [Share + Count rem ?IN_FLIGHT | lists:duplicate(?IN_FLIGHT - 1, Share)],
    [spawn(fun() -> Self ! {right, keep_asking(Receiver, N, 0)} end) || N <- Counts],
    lists:sum([receive {right, Right} -> Right end || _ <- Counts]).

keep_asking(_Receiver, 0, Right) -> Right;
keep_asking(Receiver, Left, Right) ->
    Ref = make_ref(),
    Receiver ! {question, self(), Ref, Left, ?TEXT},
    receive {answer, Ref, Answer, _Text} when Answer =:= Left + 1 -> keep_asking(Receiver, Left - 1, Right + 1) end.
